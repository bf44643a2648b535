//! How alike two pieces of audio are: what the search for a pitch, or for a place to cut, compares.

/// The normalised correlation of two pieces of one length, a multiple of eight: 1.0 is the same but for its level, 0.0
/// is nothing in common (or silence), -1.0 is the opposite.
pub fn likeness(a: &[f32], b: &[f32]) -> f32 {
    // The 1.0 keeps silence from being divided by nothing.
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1.0)
}

/// Sum of products. Eight sums side by side let the compiler use vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_like_itself_at_any_level_and_unlike_its_opposite() {
        let piece: Vec<f32> = (0..16).map(|n| (n * n % 7) as f32 * 100.0 - 300.0).collect();
        let louder: Vec<f32> = piece.iter().map(|s| s * 3.0).collect();
        let opposite: Vec<f32> = piece.iter().map(|s| -s).collect();
        assert!((likeness(&piece, &louder) - 1.0).abs() < 1e-5);
        assert!((likeness(&piece, &opposite) + 1.0).abs() < 1e-5);
        assert!(likeness(&piece, &[0.0; 16]).abs() < f32::EPSILON);
    }
}
