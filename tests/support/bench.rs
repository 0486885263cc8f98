//! A bench for kernels: any number of single steps on tensors of their own, run on a device and by the CPU reference
//! on the same numbers, and every element compared.

use std::ops::Range;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use wgrad::cpu::CpuExecutor;
use wgrad::gpu::{Device, GpuExecutor, Options};
use wgrad::model::random::{Stream, generator, uniform};
use wgrad::model::tracked::Tracked;
use wgrad::ops::{Access, Argument, Batch, Cells, Class, Immediates, Op, Region, TensorId, Tile, pitch};
use wgrad::plan::{Element, Executor, Phase, Plan, Reference, Role, Step, Tensor, Values};

/// A NaN that no kernel makes; what outputs hold before a step.
pub const POISON: f32 = f32::from_bits(0x7fc0_1234);

/// What a tensor holds before its step, without padding.
#[derive(Debug, Clone)]
pub enum Content {
    F32(Vec<f32>),
    U32(Vec<u32>),
    U8(Vec<u8>),
}

/// An op that several plans can share.
#[derive(Debug, Clone)]
pub struct Shared(pub Arc<dyn Op>);

impl Op for Shared {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn arguments(&self) -> Vec<Argument> {
        self.0.arguments()
    }
    fn sources(&self, class: Class) -> Vec<String> {
        self.0.sources(class)
    }
    fn immediates(&self, batch: &Batch) -> Immediates {
        self.0.immediates(batch)
    }
    fn workgroups(&self, batch: &Batch, tile: Tile) -> u64 {
        self.0.workgroups(batch, tile)
    }
    fn flops(&self, batch: &Batch) -> u64 {
        self.0.flops(batch)
    }
    fn iterations(&self, class: Class, batch: &Batch, tile: Tile) -> Vec<(u64, u64)> {
        self.0.iterations(class, batch, tile)
    }
    fn written(&self, tensor: TensorId, batch: &Batch) -> Region {
        self.0.written(tensor, batch)
    }
    fn twin_f32(&self, cells: &Cells<f32>, batch: &Batch) {
        self.0.twin_f32(cells, batch);
    }
    fn twin_f64(&self, cells: &Cells<f64>, batch: &Batch) {
        self.0.twin_f64(cells, batch);
    }
    fn twin_tracked(&self, cells: &Cells<Tracked>, batch: &Batch) {
        self.0.twin_tracked(cells, batch);
    }
}

struct Case {
    op: Shared,
    batch: Batch,
    /// Elements that the step has to make.
    elements: usize,
}

/// What a run has compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub steps: usize,
    /// Elements compared with the reference.
    pub elements: usize,
    /// Those for which the bound is below a thousandth of the value: where an error of that size cannot hide.
    pub sharp: usize,
    /// Elements outside `Op::written`, which had to stay as they were.
    pub untouched: usize,
    /// Elements of padding, which had to be zero.
    pub padding: usize,
}

pub struct Bench {
    tensors: Vec<Tensor>,
    contents: Vec<Content>,
    cases: Vec<Case>,
    random: ChaCha8Rng,
}

/// A batch of `count` rows at place 0 of everything.
pub fn batch(count: usize) -> Batch {
    Batch {
        first: 0,
        count: count as u32,
        slot: 0,
        scale: 1.0 / count as f32,
        learning_rate: 0.01,
        correction1: 1.25,
        correction2: 1.125,
        counter: 5,
        group: 0,
    }
}

impl Bench {
    pub fn new(seed: u64) -> Self {
        let random = generator(seed, Stream::Synthetic);
        Bench { tensors: Vec::new(), contents: Vec::new(), cases: Vec::new(), random }
    }

    /// A number in `range`.
    pub fn number(&mut self, range: Range<f64>) -> f64 {
        range.start + (range.end - range.start) * uniform(&mut self.random)
    }

    /// `count` numbers in `range`.
    pub fn numbers(&mut self, count: usize, range: Range<f64>) -> Vec<f32> {
        (0..count).map(|_| self.number(range.clone()) as f32).collect()
    }

    /// `count` whole numbers below `end`.
    pub fn whole(&mut self, count: usize, end: usize) -> Vec<u32> {
        (0..count).map(|_| self.number(0.0..end as f64) as u32).collect()
    }

    /// A tensor of `role`; roles with flat buffers share one of them.
    pub fn tensor(&mut self, role: Role, rows: usize, columns: usize, content: Content) -> TensorId {
        let (element, length) = match &content {
            Content::F32(values) => (Element::F32, values.len()),
            Content::U32(values) => (Element::U32, values.len()),
            Content::U8(values) => (Element::U8, values.len()),
        };
        assert_eq!(length, rows * columns, "a content fills its tensor");
        let name = format!("tensor{}", self.tensors.len());
        self.tensors.push(Tensor { name, role, element, rows, columns });
        self.contents.push(content);
        TensorId(self.tensors.len() - 1)
    }

    /// Numbers in a buffer of their own, which steps may read (the role says that the host fills it).
    pub fn input(&mut self, rows: usize, columns: usize, values: Vec<f32>) -> TensorId {
        self.tensor(Role::State, rows, columns, Content::F32(values))
    }

    /// Random numbers in ±1 for the first `filled` rows; NaN in the others, which no step may look at.
    pub fn batch_input(&mut self, rows: usize, columns: usize, filled: usize, range: Range<f64>) -> TensorId {
        let mut values = self.numbers(filled * columns, range);
        values.resize(rows * columns, f32::NAN);
        self.input(rows, columns, values)
    }

    /// A tensor for a step to write, poisoned.
    pub fn output(&mut self, rows: usize, columns: usize) -> TensorId {
        self.tensor(Role::Activation, rows, columns, Content::F32(vec![POISON; rows * columns]))
    }

    /// Places of data rows, for batches anywhere in the order.
    pub fn order(&mut self, length: usize, data_rows: usize) -> TensorId {
        let order = self.whole(length, data_rows);
        self.tensor(Role::Order, 1, length, Content::U32(order))
    }

    /// One step that has to make so many elements. No two steps write to the same tensor.
    pub fn step(&mut self, op: impl Op + 'static, batch: Batch, elements: usize) {
        self.cases.push(Case { op: Shared(Arc::new(op)), batch, elements });
    }

    #[allow(dead_code, reason = "each test file takes what it needs")]
    /// Gives a tensor other numbers, as many as it has.
    pub fn replace(&mut self, tensor: TensorId, values: Vec<f32>) {
        let Tensor { rows, columns, .. } = self.tensors[tensor.0];
        assert_eq!(values.len(), rows * columns, "a content fills its tensor");
        self.contents[tensor.0] = Content::F32(values);
    }

    /// Steps so far.
    pub fn steps(&self) -> usize {
        self.cases.len()
    }

    /// The plan as a device gets it (`padded`: each row with its padding as columns of its own, so that it can be
    /// looked at) or as the reference does.
    fn plan(&self, padded: bool) -> Plan {
        let mut tensors = self.tensors.clone();
        if padded {
            tensors.iter_mut().for_each(|tensor| tensor.columns = pitch(tensor.columns));
        }
        let step = |case: &Case| Step { label: case.op.name().to_owned(), op: Box::new(case.op.clone()) };
        let nothing = TensorId(0);
        Plan {
            tensors,
            parameters: Vec::new(),
            states: Vec::new(),
            train: self.cases.iter().map(step).collect(),
            evaluate: Vec::new(),
            batch_size: 1,
            evaluation_batch_size: 1,
            window: 1,
            is_resident: true,
            features: Vec::new(),
            targets: nothing,
            order: nothing,
            results: nothing,
            predictions: nothing,
        }
    }

    /// Runs every step on the device and by the reference and compares.
    ///
    /// # Errors
    /// The first element that is off, unwritten or overwritten, with its step.
    pub fn run(&self, device: &Device, options: Options) -> Result<Tally, String> {
        let text = |error: wgrad::Error| error.to_string();
        let (mut gpu, mut cpu) = self.load(device, options)?;
        let mut tally = Tally::default();
        for (i, case) in self.cases.iter().enumerate() {
            gpu.run_step(Phase::Train, i, &case.batch).map_err(text)?;
            cpu.run_step(Phase::Train, i, &case.batch).map_err(text)?;
            let place = || format!("in step {i} of {options:?}: {:?}\n  {:?}", case.op.0, case.batch);
            let before = tally.elements;
            self.compare(case, &mut gpu, &cpu, &mut tally).map_err(|what| format!("{what}\n  {}", place()))?;
            let compared = tally.elements - before;
            if compared != case.elements {
                return Err(format!("{compared} elements compared, expected {}\n  {}", case.elements, place()));
            }
            tally.steps += 1;
        }
        let overwritten = gpu.overwritten().map_err(text)?;
        if !overwritten.is_empty() {
            return Err(format!("written past the end of {}", overwritten.join(", ")));
        }
        Ok(tally)
    }

    #[allow(dead_code, reason = "each test file takes what it needs")]
    /// Runs every step, each of which writes all of its tensors, on numbers that may be NaN or infinite, and compares
    /// which results are, and which of the two; delivers how many.
    ///
    /// # Errors
    /// The first element that is finite on one side only, or strange in another way.
    pub fn run_strange(&self, device: &Device, options: Options) -> Result<usize, String> {
        let text = |error: wgrad::Error| error.to_string();
        let (mut gpu, mut cpu) = self.load(device, options)?;
        let mut strange = 0;
        for (i, case) in self.cases.iter().enumerate() {
            gpu.run_step(Phase::Train, i, &case.batch).map_err(text)?;
            cpu.run_step(Phase::Train, i, &case.batch).map_err(text)?;
            for argument in case.op.arguments().iter().filter(|argument| argument.access != Access::Read) {
                for id in cpu.plan().bound(argument.binding) {
                    let tensor = &self.tensors[id.0];
                    let seen = gpu.read(id, 0..tensor.rows).map_err(text)?;
                    for (element, (value, _)) in cpu.bounded(id, 0..tensor.rows).into_iter().enumerate() {
                        let (row, column) = (element / tensor.columns, element % tensor.columns);
                        let seen = seen[row * pitch(tensor.columns) + column];
                        let is_same = match value.is_finite() {
                            true => seen.is_finite(),
                            false if value.is_nan() => seen.is_nan() && seen.to_bits() != POISON.to_bits(),
                            false => f64::from(seen) == value,
                        };
                        if !is_same {
                            let place = format!("{}[{row}, {column}] in step {i} of {options:?}", tensor.name);
                            return Err(format!("{place} is {seen}, the reference {value}\n  {:?}", case.op.0));
                        }
                        strange += usize::from(!value.is_finite());
                    }
                }
            }
        }
        Ok(strange)
    }

    /// Both executors, with the tensors' contents.
    fn load(&self, device: &Device, options: Options) -> Result<(GpuExecutor, CpuExecutor<Tracked>), String> {
        let text = |error: wgrad::Error| error.to_string();
        let mut gpu = GpuExecutor::new(device, Arc::new(self.plan(true)), options).map_err(text)?;
        let mut cpu = CpuExecutor::<Tracked>::new(Arc::new(self.plan(false)), 1).map_err(text)?;
        for (i, (tensor, content)) in self.tensors.iter().zip(&self.contents).enumerate() {
            let id = TensorId(i);
            match content {
                Content::F32(values) => {
                    cpu.write(id, 0, Values::F32(values)).map_err(text)?;
                    gpu.write(id, 0, Values::F32(&padded(values, tensor.columns))).map_err(text)?;
                }
                Content::U32(values) => {
                    cpu.write(id, 0, Values::U32(values)).map_err(text)?;
                    gpu.write(id, 0, Values::U32(&padded(values, tensor.columns))).map_err(text)?;
                }
                Content::U8(values) => {
                    cpu.write(id, 0, Values::U8(values)).map_err(text)?;
                    gpu.write(id, 0, Values::U8(&padded(values, tensor.columns))).map_err(text)?;
                }
            }
        }
        Ok((gpu, cpu))
    }

    /// Every tensor that the step may write.
    fn compare(
        &self,
        case: &Case,
        gpu: &mut GpuExecutor,
        cpu: &CpuExecutor<Tracked>,
        tally: &mut Tally,
    ) -> Result<(), String> {
        for argument in case.op.arguments().iter().filter(|argument| argument.access != Access::Read) {
            for id in cpu.plan().bound(argument.binding) {
                let tensor = &self.tensors[id.0];
                let seen = gpu.read(id, 0..tensor.rows).map_err(|error| error.to_string())?;
                let reference = cpu.bounded(id, 0..tensor.rows);
                let written = match case.op.written(id, &case.batch) {
                    Region::All => 0..tensor.rows,
                    Region::Rows(rows) => rows,
                };
                self.compare_tensor(id, &written, &seen, &reference, tally)?;
            }
        }
        Ok(())
    }

    fn compare_tensor(
        &self,
        id: TensorId,
        written: &Range<usize>,
        seen: &[f32],
        reference: &[(f64, f64)],
        tally: &mut Tally,
    ) -> Result<(), String> {
        let tensor = &self.tensors[id.0];
        let Content::F32(before) = &self.contents[id.0] else { return Err("steps write f32 only".to_owned()) };
        for row in 0..tensor.rows {
            for column in 0..pitch(tensor.columns) {
                let seen = seen[row * pitch(tensor.columns) + column];
                let place = || format!("{}[{row}, {column}]", tensor.name);
                if column >= tensor.columns {
                    tally.padding += 1;
                    if seen != 0.0 {
                        return Err(format!("{} is padding and {seen}", place()));
                    }
                    continue;
                }
                let element = row * tensor.columns + column;
                if !written.contains(&row) {
                    tally.untouched += 1;
                    if seen.to_bits() != before[element].to_bits() {
                        return Err(format!("{} is not to be written and became {seen}", place()));
                    }
                    continue;
                }
                let (value, bound) = reference[element];
                let error = (f64::from(seen) - value).abs();
                // An infinite bound would let anything pass, and NaN is within no bound.
                let is_within = error <= bound && bound.is_finite();
                if !is_within {
                    return Err(format!("{} is {seen:e}, the reference {value:e} ± {bound:e}", place()));
                }
                tally.elements += 1;
                tally.sharp += usize::from(bound < (1e-3 * value.abs()).max(1e-30));
            }
        }
        Ok(())
    }
}

/// Rows with their padding, zeros, as columns of their own.
fn padded<E: Copy + Default>(values: &[E], columns: usize) -> Vec<E> {
    let mut all = Vec::with_capacity(values.len() / columns * pitch(columns));
    for row in values.chunks(columns) {
        all.extend_from_slice(row);
        all.resize(all.len() + pitch(columns) - columns, E::default());
    }
    all
}
