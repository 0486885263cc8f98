//! Runs a plan on an adapter: kernels and bind groups are made once, many steps go into one submit.

mod transfer;
mod whole;

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clock::{Clock, TICKS_BYTES};
use super::device::{Device, PATIENCE};
use super::kernel::Kernel;
use super::memory::{Memory, Place, row_bytes};
use super::ready;
use super::submits::{self, Cut, Pace};
use crate::error::{Error, Result};
use crate::host;
use crate::ops::{Batch, Class, TensorId};
use crate::plan::{Counts, DeviceInfo, Element, Executor, Phase, Plan, Step, Values, bytes};
use whole::Whole;

/// How an executor is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Keeps the device's own bounds checks in the kernels; slow, for tests.
    pub checked: bool,
    /// Runs the kernels for another class of device than this one; for tests.
    pub class: Option<Class>,
    /// Runs every op as a dispatch of its own, however small the network; for tests.
    pub single: bool,
    /// Floating-point operations of one submit instead of what a watchdog lets pass; for tests.
    pub submit_flops: Option<u64>,
    /// Changes the source of the joined kernel; for tests, which plant faults in it.
    pub spoil: Option<fn(&str) -> String>,
}

/// A step with what the device needs to run it.
struct Prepared {
    kernel: Arc<Kernel>,
    bind_group: wgpu::BindGroup,
}

/// What waits on the device.
struct Submit {
    index: wgpu::SubmissionIndex,
    at: Instant,
    flops: u64,
}

/// Runs one plan on one device.
pub struct GpuExecutor {
    device: Device,
    plan: Arc<Plan>,
    memory: Memory,
    /// Kernels by their source.
    kernels: HashMap<String, Arc<Kernel>>,
    options: Options,
    /// Instead of `train`, where many steps go into one dispatch.
    whole: Option<Whole>,
    /// Empty until one of its steps is run where they are joined.
    train: Vec<Prepared>,
    /// Empty until the first evaluation.
    evaluate: Vec<Prepared>,
    /// What reads are copied to; grows to the largest read.
    staging: Option<wgpu::Buffer>,
    in_flight: VecDeque<Submit>,
    pace: Pace,
    /// While a step is timed.
    clock: Option<Clock>,
    counts: Counts,
}

/// Submits that wait on the device at once.
const MAX_IN_FLIGHT: usize = 3;

impl GpuExecutor {
    /// Allocates every tensor and compiles every kernel of the training list, or the one that they are joined to for a
    /// tiny network; those that only evaluation needs are compiled when it first runs.
    ///
    /// # Errors
    /// [`Error::Device`] if the device has not got the memory or refuses a kernel.
    pub fn new(device: &Device, plan: Arc<Plan>, options: Options) -> Result<Self> {
        plan.check(device.max_binding())?;
        if device.info.shares_memory {
            host::check_room(plan.device_bytes())?;
        }
        let memory = Memory::new(&device.inner, &device.queue, &plan)?;
        let counts = Counts { allocations: memory.buffers.len() as u64, ..Counts::default() };
        let mut executor = GpuExecutor {
            device: device.clone(),
            plan: plan.clone(),
            memory,
            kernels: HashMap::new(),
            options,
            whole: None,
            train: Vec::new(),
            evaluate: Vec::new(),
            staging: None,
            in_flight: VecDeque::new(),
            pace: Pace::new(),
            clock: None,
            counts,
        };
        if plan.is_tiny() && !options.single {
            executor.whole = executor.join()?;
        }
        if device.class != Class::Hardware {
            let check = plan.check_loops(submits::ITERATIONS, |phase| executor.class(phase));
            check.map_err(|error| error.at(&device.info.adapter))?;
        }
        if executor.whole.is_none() {
            executor.train = executor.prepare_all(&plan.train, Phase::Train)?;
        }
        Ok(executor)
    }

    /// Whose kernels it runs.
    fn class(&self, phase: Phase) -> Class {
        let class = self.options.class.unwrap_or(self.device.class);
        // Those that are joined, so that a step gives the same numbers by itself.
        if phase == Phase::Train && self.whole.is_some() { Class::Tiny } else { class }
    }

    /// Compiles those kernels of a list that are not there yet.
    fn prepare_all(&mut self, steps: &[Step], phase: Phase) -> Result<Vec<Prepared>> {
        let class = self.class(phase);
        let sources: Vec<String> = steps.iter().map(|step| step.op.source(class)).collect();
        let mut new: Vec<(&str, String)> = Vec::new();
        for (step, source) in steps.iter().zip(&sources) {
            if !self.kernels.contains_key(source) && new.iter().all(|(_, other)| other != source) {
                new.push((step.op.name(), source.clone()));
            }
        }
        let made = ready::compile(&self.device, &new, self.options.checked)?;
        self.kernels.extend(new.into_iter().zip(made).map(|((_, source), kernel)| (source, Arc::new(kernel))));
        steps.iter().zip(&sources).map(|(step, source)| self.prepare(step, source)).collect()
    }

    /// Compiles what a phase needs and has not got yet.
    fn make_ready(&mut self, phase: Phase) -> Result<()> {
        let plan = self.plan.clone();
        match phase {
            Phase::Train if self.train.is_empty() => self.train = self.prepare_all(&plan.train, phase)?,
            Phase::Evaluate if self.evaluate.is_empty() => self.evaluate = self.prepare_all(&plan.evaluate, phase)?,
            _ => {}
        }
        Ok(())
    }

    fn prepare(&self, step: &Step, source: &str) -> Result<Prepared> {
        let kernel = self.kernels.get(source).ok_or_else(|| Error::internal("a kernel was not compiled"))?.clone();
        let bind_group = bind(&self.device, &self.memory, step, &kernel)?;
        Ok(Prepared { kernel, bind_group })
    }

    fn record(&self, pass: &mut wgpu::ComputePass, phase: Phase, steps: Range<usize>, batch: &Batch) -> Result<()> {
        let prepared = self.prepared(phase);
        for i in steps {
            let groups = self.plan.steps(phase)[i].op.workgroups(batch, prepared[i].kernel.layout.tile);
            self.dispatch(pass, phase, i, batch, groups)?;
        }
        Ok(())
    }

    /// `groups` workgroups of a step, from the batch's first one on.
    fn dispatch(
        &self,
        pass: &mut wgpu::ComputePass,
        phase: Phase,
        step: usize,
        batch: &Batch,
        groups: u64,
    ) -> Result<()> {
        let op = &self.plan.steps(phase)[step].op;
        let Prepared { kernel, bind_group } = &self.prepared(phase)[step];
        let (x, y) = submits::grid(groups)
            .ok_or_else(|| Error::internal(format!("{} asks for {groups} workgroups", op.name())))?;
        pass.set_pipeline(&kernel.pipeline);
        pass.set_bind_group(0, bind_group, &[]);
        pass.set_immediates(0, op.immediates(batch).bytes());
        pass.dispatch_workgroups(x, y, 1);
        Ok(())
    }

    fn submit_steps(&mut self, phase: Phase, steps: Range<usize>, batches: &[Batch]) -> Result<()> {
        self.counts.dispatches += (steps.len() * batches.len()) as u64;
        let of_one = |batch| self.plan.steps(phase)[steps.clone()].iter().map(|step| step.op.flops(batch)).sum::<u64>();
        let flops = batches.iter().map(of_one).sum();
        self.submit(flops, |executor, pass| {
            batches.iter().try_for_each(|batch| executor.record(pass, phase, steps.clone(), batch))
        })
    }

    /// A step that may be too much for one submit, in as many as it takes.
    fn submit_pieces(&mut self, phase: Phase, step: usize, batch: &Batch) -> Result<()> {
        let pieces = self.pieces(phase, step, batch);
        pieces.iter().try_for_each(|piece| self.submit_piece(phase, step, batch, piece, pieces.len()))
    }

    /// Ranges of a step's workgroups that a submit each has time for.
    fn pieces(&self, phase: Phase, step: usize, batch: &Batch) -> Vec<Range<u64>> {
        let (op, tile) = (&self.plan.steps(phase)[step].op, self.prepared(phase)[step].kernel.layout.tile);
        let pieces = submits::pieces(&op.runs(batch, tile), self.most_flops());
        if pieces.is_empty() { std::iter::once(0..op.workgroups(batch, tile)).collect() } else { pieces }
    }

    /// One of so many pieces.
    fn submit_piece(
        &mut self,
        phase: Phase,
        step: usize,
        batch: &Batch,
        piece: &Range<u64>,
        pieces: usize,
    ) -> Result<()> {
        let flops = self.plan.steps(phase)[step].op.flops(batch) / pieces as u64;
        let batch = Batch { group: batch.group + piece.start as u32, ..*batch };
        self.counts.dispatches += 1;
        self.submit(flops, |executor, pass| executor.dispatch(pass, phase, step, &batch, piece.end - piece.start))
    }

    /// One step by the device's clock.
    fn timed(&mut self, phase: Phase, step: usize, batch: &Batch) -> Result<Option<Duration>> {
        let Some(ticks) = self.clock.as_ref().map(|clock| clock.ticks.clone()) else { return Ok(None) };
        let pieces = self.pieces(phase, step, batch);
        let mut sum = Some(Duration::ZERO);
        for piece in &pieces {
            self.submit_piece(phase, step, batch, piece, pieces.len())?;
            let raw = self.download(&ticks, 0..TICKS_BYTES)?;
            let time = self.clock.as_ref().and_then(|clock| clock.time(&raw));
            sum = sum.zip(time).map(|(sum, time)| sum + time);
        }
        Ok(sum)
    }

    fn prepared(&self, phase: Phase) -> &[Prepared] {
        if phase == Phase::Train { &self.train } else { &self.evaluate }
    }

    /// Floating-point operations of one submit.
    fn most_flops(&self) -> u64 {
        self.options.submit_flops.unwrap_or(self.pace.flops)
    }

    fn submit(
        &mut self,
        flops: u64,
        record: impl FnOnce(&mut Self, &mut wgpu::ComputePass) -> Result<()>,
    ) -> Result<()> {
        let mut encoder = self.device.inner.create_command_encoder(&Default::default());
        let timestamp_writes = self.clock.as_ref().map(Clock::writes);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
        record(self, &mut pass)?;
        drop(pass);
        if let Some(clock) = &self.clock {
            clock.resolve(&mut encoder);
        }
        // Some drivers wait in here.
        let at = Instant::now();
        let index = self.device.queue.submit([encoder.finish()]);
        self.in_flight.push_back(Submit { index, at, flops });
        self.counts.submits += 1;
        // Without a poll nothing that the submit used is ever freed.
        self.device.poll(wgpu::PollType::Poll)?;
        if self.in_flight.len() > MAX_IN_FLIGHT
            && let Some(oldest) = self.in_flight.pop_front()
        {
            let waited = Instant::now();
            self.device.wait(Some(oldest.index), PATIENCE)?;
            self.pace.note(oldest.flops, oldest.at.elapsed(), waited.elapsed());
        }
        self.device.failure()
    }

    /// Waits until nothing is in flight.
    fn drain(&mut self) -> Result<()> {
        let (began, count) = (Instant::now(), self.in_flight.len() as u32);
        let last = self.in_flight.pop_back();
        self.in_flight.clear();
        self.device.wait(None, PATIENCE)?;
        if let Some(last) = last {
            // As if it had waited for as many as there may be.
            let time = last.at.elapsed() * (MAX_IN_FLIGHT as u32 + 1) / count;
            self.pace.note(last.flops, time, began.elapsed() / count);
        }
        Ok(())
    }
}

/// Shows a kernel the step's tensors.
fn bind(device: &Device, memory: &Memory, step: &Step, kernel: &Kernel) -> Result<wgpu::BindGroup> {
    let arguments = step.op.arguments();
    if arguments.len() != kernel.layout.bindings.len() {
        let (shader, op) = (kernel.layout.bindings.len(), arguments.len());
        return Err(Error::internal(format!("{} has {op} arguments, its shader {shader} bindings", step.label)));
    }
    let entries: Vec<wgpu::BindGroupEntry> = (kernel.layout.bindings.iter().zip(&arguments))
        .map(|(&(binding, _), argument)| wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::Buffer(memory.binding(argument.binding)),
        })
        .collect();
    Ok(device.inner.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(&step.label),
        layout: &kernel.group_layout,
        entries: &entries,
    }))
}

impl Executor for GpuExecutor {
    fn info(&self) -> &DeviceInfo {
        &self.device.info
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn write(&mut self, tensor: TensorId, first: usize, values: Values) -> Result<()> {
        match values {
            Values::F32(values) => self.upload(tensor, first, values),
            Values::U32(values) => self.upload(tensor, first, values),
            Values::U8(values) => self.upload(tensor, first, values),
        }
    }

    fn read_into(&mut self, tensor: TensorId, rows: Range<usize>, values: &mut Vec<f32>) -> Result<()> {
        let (columns, row_bytes) = (self.plan.tensor(tensor).columns, row_bytes(self.plan.tensor(tensor)));
        let element = self.plan.tensor(tensor).element;
        let place = self.memory.places[tensor.0].clone();
        let range = place.offset + rows.start as u64 * row_bytes..place.offset + rows.end as u64 * row_bytes;
        if range.is_empty() || range.end > place.offset + place.size {
            return Err(Error::internal(format!("rows {rows:?} of {} do not exist", self.plan.tensor(tensor).name)));
        }
        let raw = self.download(&self.memory.buffers[place.buffer].clone(), range)?;
        values.clear();
        values.reserve(rows.len() * columns);
        for row in raw.chunks_exact(row_bytes as usize) {
            match element {
                Element::U8 => values.extend(row[..columns].iter().map(|&byte| f32::from(byte))),
                Element::U32 => values.extend(words(&row[..4 * columns]).map(|word| word as f32)),
                Element::F32 => values.extend(words(&row[..4 * columns]).map(f32::from_bits)),
            }
        }
        Ok(())
    }

    fn run(&mut self, phase: Phase, batches: &[Batch]) -> Result<()> {
        if phase == Phase::Train
            && let Some(whole) = self.whole.take()
        {
            let done = self.run_joined(&whole, batches);
            self.whole = Some(whole);
            return done;
        }
        self.make_ready(phase)?;
        let Some(first) = batches.first() else { return Ok(()) };
        // No batch has more rows than the first.
        let flops: Vec<u64> = self.plan.steps(phase).iter().map(|step| step.op.flops(first)).collect();
        let mut left = batches;
        while let Some(batch) = left.first() {
            let count = match submits::cut(&flops, self.most_flops()) {
                Cut::Batches(most) => {
                    let count = most.min(left.len());
                    self.submit_steps(phase, 0..flops.len(), &left[..count])?;
                    count
                }
                Cut::Steps(ranges) => {
                    for range in ranges {
                        match range.len() {
                            1 => self.submit_pieces(phase, range.start, batch)?,
                            _ => self.submit_steps(phase, range, std::slice::from_ref(batch))?,
                        }
                    }
                    1
                }
            };
            left = &left[count..];
        }
        Ok(())
    }

    fn run_step(&mut self, phase: Phase, step: usize, batch: &Batch) -> Result<()> {
        self.make_ready(phase)?;
        self.submit_pieces(phase, step, batch)
    }

    fn time_step(&mut self, phase: Phase, step: usize, batch: &Batch) -> Result<Option<Duration>> {
        self.make_ready(phase)?;
        self.clock = Clock::new(&self.device);
        let time = self.timed(phase, step, batch);
        self.clock = None;
        time
    }

    fn joined_steps(&self) -> Option<usize> {
        self.whole.as_ref().map(|whole| whole.joined.batches)
    }

    fn wait(&mut self) -> Result<()> {
        self.drain()
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn overwritten(&mut self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let last = |places: &[Place], buffer: usize| {
            places.iter().filter(|place| place.buffer == buffer).map(|place| place.canaries.end).max().unwrap_or(0)
        };
        for buffer in 0..self.memory.buffers.len() {
            // One read a buffer, and of large ones with a single tensor only the end.
            let members: Vec<usize> =
                (0..self.memory.places.len()).filter(|&i| self.memory.places[i].buffer == buffer).collect();
            let start = if members.len() == 1 { self.memory.places[members[0]].canaries.start } else { 0 };
            let (end, bytes) = (last(&self.memory.places, buffer), self.memory.buffers[buffer].clone());
            let raw = self.download(&bytes, start..end)?;
            for i in members {
                let Place { canaries: Range { start: from, end: to }, canary, .. } = self.memory.places[i];
                if words(&raw[(from - start) as usize..(to - start) as usize]).any(|word| word != canary) {
                    names.push(self.plan.tensors[i].name.clone());
                }
            }
        }
        Ok(names)
    }
}

/// Little-endian words, as every device that wgpu runs on stores them.
fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}

impl std::fmt::Debug for GpuExecutor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GpuExecutor({}, {})", self.device.info.adapter, bytes(self.plan.device_bytes()))
    }
}
