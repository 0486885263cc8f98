//! A matrix that a product reads, as it lies in memory. Knows nothing of products.

/// Strides of a matrix operand, in elements.
#[derive(Debug, Clone, Copy)]
pub struct Strides {
    /// From a row to the next.
    pub row: usize,
    /// From a column to the next.
    pub column: usize,
}

/// A matrix operand: its elements and how to walk them.
#[derive(Clone, Copy)]
pub struct Operand<'a, T> {
    /// All of them.
    pub values: &'a [T],
    /// How to walk them.
    pub strides: Strides,
    /// Which row of `values` each row is; without it each is its own.
    pub order: Option<&'a [u32]>,
}

impl<'a, T> Operand<'a, T> {
    /// Row-major with `columns` elements a row.
    pub fn rows(values: &'a [T], columns: usize) -> Self {
        Operand { values, strides: Strides { row: columns, column: 1 }, order: None }
    }

    /// Some rows of a row-major matrix, in this order.
    pub fn listed(values: &'a [T], columns: usize, order: &'a [u32]) -> Self {
        Operand { order: Some(order), ..Operand::rows(values, columns) }
    }

    /// The transpose of a row-major matrix with `columns` elements a row.
    pub fn transposed(values: &'a [T], columns: usize) -> Self {
        Operand { values, strides: Strides { row: 1, column: columns }, order: None }
    }

    /// Where row `row` starts.
    pub(super) fn start(&self, row: usize) -> usize {
        self.order.map_or(row, |order| order[row] as usize) * self.strides.row
    }

    /// Tells whether its columns lie one after the other, without gaps.
    pub(super) fn is_transposed(&self) -> bool {
        self.strides.row == 1 && self.order.is_none()
    }
}
