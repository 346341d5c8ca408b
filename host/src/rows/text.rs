//! Rows as text, for whoever compares them or shows them: data files take none of it.

use super::column::{TableRows, Values};
use heplake_format::{Column, ColumnType};

impl TableRows<'_> {
    /// Each column that stands in a data file, and its values as text, none where one is null:
    /// numbers, signed ones too, and the bits of a double in decimal, times in µs since 1970,
    /// U+FFFD for bytes that are no UTF-8.
    pub fn as_text(&self) -> impl Iterator<Item = (&Column, Vec<Option<String>>)> {
        let columns = self.plan.columns.iter().enumerate();
        columns.map(|(index, plan)| {
            let mut texts = Texts {
                texts: Vec::with_capacity(self.len()),
                is_signed: plan.column.column_type == ColumnType::BigInt,
            };
            self.fill(index, &mut texts);
            (&plan.column, texts.texts)
        })
    }
}

struct Texts {
    texts: Vec<Option<String>>,
    is_signed: bool,
}

impl Values for Texts {
    fn null(&mut self) {
        self.texts.push(None);
    }
    fn number(&mut self, number: u64) {
        self.texts.push(Some(match self.is_signed {
            true => (number as i64).to_string(),
            false => number.to_string(),
        }));
    }
    fn bytes(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.texts.push(Some(text));
    }
    fn made(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut made = Vec::new();
        write(&mut made);
        self.bytes(&made);
    }
    fn keyed(&mut self, _key: u32, write: impl FnOnce(&mut Vec<u8>)) {
        self.made(write);
    }
}
