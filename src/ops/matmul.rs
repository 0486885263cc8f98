//! The matrix products of a kernel, as WGSL: how their operands lie in memory, and the tiles for a class of device.

use super::{Class, Tile, passes, wgsl};

/// How a kernel finds one operand of a product in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// Neighbours are summed over: the operand's lines are rows (or columns) of the product.
    Along,
    /// Neighbours are rows (or columns) of the product: the operand's lines are depths.
    Across,
}

/// One matrix product of a kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product {
    /// What the names of its functions start with.
    pub part: &'static str,
    pub left: Stored,
    pub right: Stored,
}

/// How a GPU's kernel cuts its products; a software adapter has tiles of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuTiles {
    /// 16 × 16 outputs, whose sums 16 invocations share: for products with few outputs.
    Slices,
    /// Square tiles of operands that are brought to shared memory, of this side.
    Shared32,
    /// Of 64.
    Shared64,
    /// Of 128.
    Shared128,
}

/// Tiles that keep a large GPU busy: about two for each of its processors (an H200 has 132).
const ENOUGH: u64 = 256;

impl GpuTiles {
    /// Every one.
    pub const ALL: [GpuTiles; 4] = [GpuTiles::Slices, GpuTiles::Shared32, GpuTiles::Shared64, GpuTiles::Shared128];

    /// For a kernel whose products have outputs of these shapes: the largest of which every product has enough.
    pub fn choose(outputs: &[[usize; 2]]) -> Self {
        let sides = [(128, GpuTiles::Shared128), (64, GpuTiles::Shared64), (32, GpuTiles::Shared32)];
        let found = sides.into_iter().find(|&(side, _)| outputs.iter().all(|&output| pays(side, output)));
        found.map_or(GpuTiles::Slices, |(_, tiles)| tiles)
    }
}

/// Whether an output has enough tiles of that side, and they do not compute more than a quarter in vain. The smallest
/// ones may: what is narrower than they are has no better.
fn pays(side: usize, [rows, columns]: [usize; 2]) -> bool {
    let tiles = rows.div_ceil(side) as u64 * columns.div_ceil(side) as u64;
    let outputs = rows as u64 * columns as u64;
    tiles >= ENOUGH && (side == 32 || tiles * (side * side) as u64 <= outputs + outputs / 4)
}

/// The products' files for a class of device, after the constants of the tile they share. `narrower` is the narrower side
/// of the weights.
pub(super) fn sources(class: Class, tiles: GpuTiles, narrower: usize, products: &[Product]) -> String {
    let shared = |tile| ([tile, wgsl!("lib/tile_shared.wgsl")].join("\n"), wgsl!("lib/matmul_shared.wgsl"));
    let (tile, multiply) = match class {
        Class::SoftwareLanes if narrower >= 128 => {
            (wgsl!("lib/tile_registers_32.wgsl"), wgsl!("lib/matmul_lanes.wgsl"))
        }
        Class::SoftwareLanes => (wgsl!("lib/tile_registers.wgsl"), wgsl!("lib/matmul_lanes.wgsl")),
        Class::Software => (wgsl!("lib/tile_registers.wgsl"), wgsl!("lib/matmul_registers.wgsl")),
        Class::Tiny => (wgsl!("lib/tile_rows.wgsl"), wgsl!("lib/matmul_rows.wgsl")),
        Class::Hardware => match tiles {
            GpuTiles::Slices => (wgsl!("lib/tile_slices.wgsl"), wgsl!("lib/matmul_slices.wgsl")),
            GpuTiles::Shared32 => shared(wgsl!("lib/tile_shared_32.wgsl")),
            GpuTiles::Shared64 => shared(wgsl!("lib/tile_shared_64.wgsl")),
            GpuTiles::Shared128 => shared(wgsl!("lib/tile_shared_128.wgsl")),
        },
    };
    let products = products.iter().map(|product| {
        let [left, right] = product.operands(class);
        [left, right, multiply.clone()].join("\n").replace("part_", &format!("{}_", product.part))
    });
    std::iter::once(tile).chain(products).collect::<Vec<_>>().join("\n")
}

impl Product {
    /// The files that load its operands.
    fn operands(&self, class: Class) -> [String; 2] {
        let left = match (self.left, class) {
            (Stored::Along, Class::Software | Class::Hardware) => wgsl!("lib/left_along.wgsl"),
            (Stored::Across, Class::Software | Class::Hardware) => wgsl!("lib/left_across.wgsl"),
            (Stored::Along, Class::SoftwareLanes) => wgsl!("lib/lanes_left_along.wgsl"),
            (Stored::Across, Class::SoftwareLanes) => wgsl!("lib/lanes_left_across.wgsl"),
            (Stored::Along, Class::Tiny) => wgsl!("lib/rows_left_along.wgsl"),
            (Stored::Across, Class::Tiny) => wgsl!("lib/rows_left_across.wgsl"),
        };
        let right = match (self.right, class) {
            (Stored::Along, Class::SoftwareLanes) => wgsl!("lib/lanes_right_along.wgsl"),
            (Stored::Across, Class::SoftwareLanes) => wgsl!("lib/lanes_right_across.wgsl"),
            (Stored::Along, _) => wgsl!("lib/right_along.wgsl"),
            (Stored::Across, _) => wgsl!("lib/right_across.wgsl"),
        };
        [left, right]
    }
}

/// Loop iterations of one invocation of a product on a processor (a GPU's kernels are not counted): `depth4` vec4s are
/// summed up, and what becomes of each row takes `finish` iterations.
pub(super) fn iterations(class: Class, depth4: u32, finish: u64) -> u64 {
    // The sums of a tile move up by one row for each that is done.
    let moved = |rows: u64| passes(rows) + rows * (passes(rows - 1) + finish);
    match class {
        Class::Tiny => passes(depth4) + finish,
        Class::SoftwareLanes => passes(depth4) + moved(32),
        Class::Software | Class::Hardware => passes(depth4) + u64::from(depth4) * passes(4_u64) + moved(16),
    }
}

/// Tiles that cover a matrix.
pub(super) fn tiles(rows: usize, columns: usize, tile: Tile) -> u64 {
    (rows as u64).div_ceil(tile.rows.into()) * (columns as u64).div_ceil(tile.columns.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_gets_the_largest_tiles_that_keep_it_busy() {
        let choose = |rows, units| GpuTiles::choose(&[[rows, units]]);
        assert_eq!(choose(4096, 4096), GpuTiles::Shared128);
        assert_eq!(choose(1024, 1024), GpuTiles::Shared64, "64 tiles of 128 leave half of a large GPU idle");
        assert_eq!(choose(256, 1024), GpuTiles::Shared32);
        assert_eq!(choose(256, 512), GpuTiles::Slices);
        assert_eq!(choose(64, 128), GpuTiles::Slices);
        assert_eq!(choose(1 << 20, 10), GpuTiles::Shared32);
        assert_eq!(choose(1 << 20, 129), GpuTiles::Shared32, "a third of 192 columns would be in vain");
        assert_eq!(choose(1 << 20, 513), GpuTiles::Shared128);
        let narrow = [[1 << 20, 64], [10, 64]];
        assert_eq!(GpuTiles::choose(&narrow), GpuTiles::Slices, "the sums of one product would be waited for");
    }
}
