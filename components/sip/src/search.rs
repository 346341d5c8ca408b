//! Search for bytes, without the dispatch at run time that the general functions of
//! `memchr` begin with: header lines are short, and there are a dozen in a message.

#[cfg(not(any(
    target_arch = "x86_64",
    all(target_arch = "wasm32", target_feature = "simd128")
)))]
pub(crate) use memchr::{memchr, memchr2};

#[cfg(any(
    target_arch = "x86_64",
    all(target_arch = "wasm32", target_feature = "simd128")
))]
pub(crate) use vector::{memchr, memchr2};

/// Both targets have 16-byte vectors always, so nothing has to be asked.
#[cfg(any(
    target_arch = "x86_64",
    all(target_arch = "wasm32", target_feature = "simd128")
))]
mod vector {
    #[cfg(target_arch = "wasm32")]
    use memchr::arch::wasm32::simd128::memchr::{One, Two};
    #[cfg(target_arch = "x86_64")]
    use memchr::arch::x86_64::sse2::memchr::{One, Two};

    /// The place of the first `needle`.
    #[inline(always)]
    pub(crate) fn memchr(needle: u8, haystack: &[u8]) -> Option<usize> {
        match One::new(needle) {
            Some(finder) => finder.find(haystack),
            None => memchr::memchr(needle, haystack),
        }
    }

    /// The place of the first of two needles.
    #[inline(always)]
    pub(crate) fn memchr2(first: u8, second: u8, haystack: &[u8]) -> Option<usize> {
        match Two::new(first, second) {
            Some(finder) => finder.find(haystack),
            None => memchr::memchr2(first, second, haystack),
        }
    }
}
