//! The router's side of the contract.

use crate::{Cell, RouterDescription};

/// Decides the table of a row, as a component author writes it.
pub trait Router: Default {
    /// Takes this component's section of the configuration, a JSON object.
    ///
    /// # Errors
    /// A sentence that names the setting and says why it is refused.
    fn configure(&mut self, configuration: &str) -> Result<(), String> {
        crate::nothing_to_configure(configuration)
    }

    /// Name, version, fields read and tables written.
    fn describe(&self) -> RouterDescription;

    /// The place in the description's tables that this row goes to.
    fn route(&mut self, row: &RouteRow<'_>) -> u32;
}

/// The fields of one row that a router reads.
#[derive(Clone, Copy, Debug)]
pub struct RouteRow<'a> {
    cells: &'a [u64],
    bytes: &'a [u8],
}

impl<'a> RouteRow<'a> {
    /// The bytes of the `index`-th field read, unless it is null.
    #[must_use]
    pub fn text(&self, index: usize) -> Option<&'a [u8]> {
        Cell(*self.cells.get(index)?).resolve(self.bytes, &[])
    }

    /// The number in the `index`-th field read, unless it is null.
    #[must_use]
    pub fn number(&self, index: usize) -> Option<u64> {
        self.cells
            .get(index)
            .copied()
            .filter(|cell| *cell != Cell::NULL.0)
    }

    /// The number in the `index`-th field read, which is a signed one, unless it is null.
    #[must_use]
    pub fn signed(&self, index: usize) -> Option<i64> {
        Cell(*self.cells.get(index)?).as_signed()
    }
}

/// A batch of rows as the host sends it to a router; see `wit/heplake.wit`.
#[derive(Clone, Copy, Debug)]
pub struct RouteBatch<'a> {
    /// What spans in `cells` point into.
    pub bytes: &'a [u8],
    /// One cell for each row and field read, row by row.
    pub cells: &'a [u64],
    /// Number of rows.
    pub rows: u32,
}

/// Drives a router over a batch, as the exported `route` does.
pub fn route<R: Router>(router: &mut R, batch: &RouteBatch<'_>) -> Vec<u32> {
    let rows = batch.rows as usize;
    let width = batch.cells.len().checked_div(rows).unwrap_or(0);
    (0..rows)
        .map(|row| {
            let cells = &batch.cells[row * width..(row + 1) * width];
            router.route(&RouteRow {
                cells,
                bytes: batch.bytes,
            })
        })
        .collect()
}
