//! Fills rows of 77 ids with the lines of a file, again and again: for profilers and instruction counts.
//!
//! usage: `fill_rows FILE [REPEATS]`

use cliptok::{Engine, Profile, RowOptions, Rows};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: fill_rows FILE [REPEATS]")?;
    let repeats: usize = arguments.next().map_or(Ok(1), |n| n.parse())?;
    let text = std::fs::read_to_string(file)?;
    let lines: Vec<&str> = text.lines().collect();
    let engine = Engine::clip(Profile::Transformers);
    let options = RowOptions { width: 77, pad: 49407, add_special_tokens: true, pad_left: false };
    let mut ids = vec![0i64; 77 * lines.len()];
    for _ in 0..repeats {
        engine.fill_rows(&lines[..], Rows { ids: &mut ids, lengths: None, mask: None }, options, 1)?;
    }
    println!("{} captions, the ids add up to {}", lines.len() * repeats, ids.iter().sum::<i64>());
    Ok(())
}
