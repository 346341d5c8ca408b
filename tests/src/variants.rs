//! Versions of components that differ in what a test needs, and in nothing else.

/// The same component under another digest: a custom section at its end, which nothing reads
/// (WebAssembly component binary format, sections of id 0).
#[must_use]
pub fn relabelled(component: &[u8], label: &str) -> Vec<u8> {
    const NAME: &[u8] = b"heplake.test";
    let mut content = vec![NAME.len() as u8];
    content.extend_from_slice(NAME);
    content.extend_from_slice(label.as_bytes());
    let mut bytes = component.to_vec();
    bytes.push(0);
    // LEB128, of two bytes: enough for a label of 16 KiB.
    bytes.push((content.len() & 0x7f) as u8 | 0x80);
    bytes.push((content.len() >> 7) as u8);
    bytes.extend(content);
    bytes
}

/// The same component with a text of its data in place of another of the same length, which
/// must be there once.
///
/// # Panics
/// When it is not, or the lengths differ.
#[must_use]
pub fn with_text(component: &[u8], text: &str, in_its_place: &str) -> Vec<u8> {
    assert_eq!(text.len(), in_its_place.len());
    let found = |bytes: &[u8]| {
        let mut windows = bytes.windows(text.len());
        windows.position(|window| window == text.as_bytes())
    };
    let at = found(component);
    assert!(at.is_some(), "`{text}` is not in the component");
    let at = at.unwrap_or_default();
    assert!(
        found(&component[at + text.len()..]).is_none(),
        "`{text}` is in the component more than once"
    );
    let mut bytes = component.to_vec();
    bytes[at..at + text.len()].copy_from_slice(in_its_place.as_bytes());
    bytes
}
