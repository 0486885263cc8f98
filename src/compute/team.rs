//! A team of threads that share the tasks of one job at a time. A training step hands out several jobs of some ten
//! microseconds each, so the caller works along, threads look out for the next job a while before they sleep, handing
//! out a job allocates nothing, and a thread that is not running holds nobody up. Knows nothing of what it runs.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ndarray::{ArrayViewMut2, ShapeBuilder};

/// How often a thread looks for work before it gives way to others between two looks: some 50 µs, longer than the serial
/// parts of a small step.
const SPINS: usize = 1000;

/// How long it looks then before it sleeps. A core with nothing to run is given away by the host of a virtual machine,
/// and it takes milliseconds to have it back while others compute there.
const AWAKE: Duration = Duration::from_millis(10);

/// What all tasks of a job call, with the task's number.
type Call<'a> = &'a (dyn Fn(usize) + Sync);

/// Its threads end when it is dropped.
pub struct Team {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Held while a job runs; a job within a job runs on its own thread.
    turn: Mutex<()>,
}

struct Shared {
    /// The job's number in the upper half, its unclaimed tasks in the lower. Claiming one is a compare-and-swap of
    /// both, so nobody can claim a task of one job for another.
    ticket: AtomicU64,
    /// The current job. Valid as long as a claimed task of it is unfinished.
    call: AtomicPtr<Call<'static>>,
    /// Tasks that are not finished.
    pending: AtomicUsize,
    panicked: AtomicBool,
    ends: AtomicBool,
    /// Threads that sleep on `wake`.
    sleeping: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
}

impl Shared {
    /// Runs tasks of the current job until none is unclaimed. Tells whether there was one.
    fn work(&self) -> bool {
        let mut worked = false;
        loop {
            let ticket = self.ticket.load(Ordering::SeqCst);
            if ticket as u32 == 0 {
                return worked;
            }
            let call = self.call.load(Ordering::Acquire);
            if self.ticket.compare_exchange(ticket, ticket - 1, Ordering::SeqCst, Ordering::Relaxed).is_err() {
                continue;
            }
            worked = true;
            let task = (ticket as u32 - 1) as usize;
            // SAFETY: `call` was read while job `ticket >> 32` was current: it was published before that ticket, and
            // the swap above failed had the next one been. `run` keeps what it points to until the task just claimed
            // is counted out of `pending` below.
            let call: Call = unsafe { *call };
            if catch_unwind(AssertUnwindSafe(|| call(task))).is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
            self.pending.fetch_sub(1, Ordering::Release);
        }
    }

    /// What each thread of the team does all its life.
    fn serve(&self) {
        while !self.ends.load(Ordering::SeqCst) {
            if self.looks_out() {
                continue;
            }
            let mut guard = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
            self.sleeping.fetch_add(1, Ordering::SeqCst);
            // Either this sees the new ticket, or whoever wrote it sees the sleeper.
            while self.ticket.load(Ordering::SeqCst) as u32 == 0 && !self.ends.load(Ordering::SeqCst) {
                guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
            self.sleeping.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Works if there is something to do soon, and tells whether there was.
    fn looks_out(&self) -> bool {
        let spun = (0..SPINS).any(|_| {
            std::hint::spin_loop();
            self.work()
        });
        let began = Instant::now();
        spun || std::iter::repeat_with(|| {
            std::thread::yield_now();
            self.work()
        })
        .take_while(|worked| *worked || (!self.ends.load(Ordering::SeqCst) && began.elapsed() < AWAKE))
        .any(|worked| worked)
    }

    fn wake_sleepers(&self) {
        if self.sleeping.load(Ordering::SeqCst) > 0 {
            let _guard = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
            self.wake.notify_all();
        }
    }
}

impl Team {
    /// A team of `threads`, the caller's own included.
    ///
    /// # Errors
    /// What the system says when it starts no more threads.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            ticket: AtomicU64::new(0),
            call: AtomicPtr::new(std::ptr::null_mut()),
            pending: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            sleeping: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
        });
        let mut team = Team { shared, threads: Vec::new(), turn: Mutex::new(()) };
        for number in 1..threads.max(1) {
            let shared = Arc::clone(&team.shared);
            let thread = std::thread::Builder::new().name(format!("wgrad {number}"));
            // On an error the threads so far end with the team.
            team.threads.push(thread.spawn(move || shared.serve())?);
        }
        Ok(team)
    }

    /// Threads that share the work, the caller's included.
    pub fn threads(&self) -> usize {
        self.threads.len() + 1
    }

    /// Calls `call` once for each of `0..tasks`, in any order and on any thread, and returns when all are done.
    ///
    /// # Panics
    /// If a task panics, after all others are done.
    pub fn run(&self, tasks: usize, call: impl Fn(usize) + Sync) {
        let turn = if self.threads.is_empty() || tasks < 2 { None } else { self.turn.try_lock().ok() };
        let Some(turn) = turn else { return (0..tasks).for_each(call) };
        let shared = &*self.shared;
        let tasks = u32::try_from(tasks).expect("a job has fewer than 2³² tasks");
        let mut call: Call = &call;
        shared.pending.store(tasks as usize, Ordering::Relaxed);
        shared.call.store((&raw mut call).cast(), Ordering::Release);
        let number = (shared.ticket.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        shared.ticket.store(number << 32 | u64::from(tasks), Ordering::SeqCst);
        shared.wake_sleepers();
        shared.work();
        let mut waited = 0;
        while shared.pending.load(Ordering::Acquire) > 0 {
            waited += 1;
            if waited < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        if shared.panicked.swap(false, Ordering::Relaxed) {
            drop(turn);
            panic!("a task panicked");
        }
    }

    /// Cuts arrays into chunks of `size` elements and calls `call` with each chunk's number and its part of each array;
    /// an array that has ended gives an empty part.
    pub fn chunks<T: Send, const N: usize>(
        &self,
        arrays: [&mut [T]; N],
        size: usize,
        call: impl Fn(usize, [&mut [T]; N]) + Sync,
    ) {
        let tasks = arrays.iter().map(|array| array.len().div_ceil(size)).max().unwrap_or(0);
        let parts = Parts(arrays.map(|array| (array.as_mut_ptr(), array.len())));
        self.run(tasks, |task| {
            let ranges = parts.ranges(task, [size; N]);
            call(
                task,
                std::array::from_fn(|array| {
                    let range = &ranges[array];
                    // SAFETY: within the array, which `arrays` borrows until `run` returns; `run` gives each number
                    // once, and the chunks of two numbers do not overlap.
                    unsafe { std::slice::from_raw_parts_mut(parts.0[array].0.add(range.start), range.len()) }
                }),
            );
        });
    }

    /// Cuts a row-major matrix into parts of `width` columns and `room` into chunks of `size` elements, and calls `call` with
    /// each part's number, the part and its chunk.
    ///
    /// # Panics
    /// If rows of the matrix have gaps.
    pub fn columns<T: Send>(
        &self,
        mut matrix: ArrayViewMut2<T>,
        width: usize,
        room: &mut [T],
        size: usize,
        call: impl Fn(usize, ArrayViewMut2<T>, &mut [T]) + Sync,
    ) {
        let (rows, columns) = matrix.dim();
        let &[pitch @ 0..=isize::MAX, 1] = matrix.strides() else { panic!("rows have no gaps") };
        let shape = |columns: usize| (rows, columns).strides((pitch as usize, 1));
        let parts = Parts([(matrix.as_mut_ptr(), columns), (room.as_mut_ptr(), room.len())]);
        self.run(columns.div_ceil(width), |task| {
            let [columns, chunk] = parts.ranges(task, [width, size]);
            // SAFETY: the columns lie in the matrix and the chunk in `room`, both borrowed until `run` returns; `run` gives
            // each number once, and the columns and chunks of two numbers do not overlap.
            let (part, chunk) = unsafe {
                let first = parts.0[0].0.add(columns.start);
                let chunk = std::slice::from_raw_parts_mut(parts.0[1].0.add(chunk.start), chunk.len());
                (ArrayViewMut2::from_shape_ptr(shape(columns.len()), first), chunk)
            };
            call(task, part, chunk);
        });
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        {
            let _guard = self.shared.sleep.lock().unwrap_or_else(PoisonError::into_inner);
            self.shared.wake.notify_all();
        }
        for thread in self.threads.drain(..) {
            // Panics of tasks are caught; there is nothing to report.
            let _ = thread.join();
        }
    }
}

/// Where arrays start, and how many elements or columns each has.
struct Parts<T, const N: usize>([(*mut T, usize); N]);

impl<T, const N: usize> Parts<T, N> {
    /// The part of each array that is a task's, if tasks take so many of its elements in turn.
    fn ranges(&self, task: usize, sizes: [usize; N]) -> [Range<usize>; N] {
        std::array::from_fn(|array| {
            let (size, length) = (sizes[array], self.0[array].1);
            task.saturating_mul(size).min(length)..(task + 1).saturating_mul(size).min(length)
        })
    }
}

// SAFETY: it stands for N arrays or matrices, whose disjoint parts may go to other threads when `T` may.
unsafe impl<T: Send, const N: usize> Sync for Parts<T, N> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_whatever_the_number_of_threads_and_tasks() {
        for threads in [1, 2, 3, 8] {
            let team = Team::new(threads).unwrap();
            assert_eq!(team.threads(), threads);
            for round in 0..300 {
                let tasks = round % 40;
                let runs: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                team.run(tasks, |task| {
                    runs[task].fetch_add(1, Ordering::Relaxed);
                });
                assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1), "{threads} threads, {tasks} tasks");
            }
        }
    }

    #[test]
    fn sleeping_threads_wake_for_the_next_job_and_share_it() {
        let team = Team::new(4).unwrap();
        let mut names = std::collections::BTreeSet::new();
        // A busy machine may leave a thread out of several jobs.
        for _ in 0..200 {
            let waiting = Instant::now();
            while team.shared.sleeping.load(Ordering::SeqCst) < 3 {
                assert!(waiting.elapsed() < Duration::from_secs(30), "three threads do not fall asleep");
                std::thread::sleep(Duration::from_millis(1));
            }
            let seen = Mutex::new(Vec::new());
            team.run(16, |_| {
                std::thread::sleep(Duration::from_millis(1));
                seen.lock().unwrap().push(std::thread::current().id());
            });
            names.extend(seen.into_inner().unwrap().iter().map(|id| format!("{id:?}")));
            if names.len() == 4 {
                break;
            }
        }
        assert_eq!(names.len(), 4);
    }

    #[test]
    fn chunks_cover_arrays_of_unequal_length_without_gap_or_overlap() {
        let team = Team::new(3).unwrap();
        let (mut a, mut b, mut none) = (vec![0u32; 1001], vec![0u32; 500], Vec::new());
        team.chunks([&mut a, &mut b, &mut none], 7, |chunk, [a, b, none]| {
            a.iter_mut().enumerate().for_each(|(i, a)| *a += 1 + (chunk * 7 + i) as u32);
            b.iter_mut().for_each(|b| *b += 1);
            assert!(none.is_empty());
        });
        assert!(a.iter().enumerate().all(|(i, &a)| a == 1 + i as u32));
        assert!(b.iter().all(|&b| b == 1));
    }

    #[test]
    fn parts_cover_the_columns_of_a_matrix_and_their_room_without_gap_or_overlap() {
        let team = Team::new(3).unwrap();
        let (mut matrix, mut room) = (ndarray::Array2::<u32>::zeros((5, 101)), vec![0u32; 58]);
        // Columns 3 .. 98, whose rows lie 101 apart; the last part is 5 wide and has no room left.
        let inner = matrix.slice_mut(ndarray::s![.., 3..98]);
        team.columns(inner, 9, &mut room, 6, |part, mut columns, room| {
            for ((row, column), element) in columns.indexed_iter_mut() {
                *element += (1 + row * 1000 + part * 9 + column) as u32;
            }
            room.iter_mut().for_each(|element| *element += 1 + part as u32);
        });
        let right = |row: usize, column: usize| match column {
            3..98 => 1 + row * 1000 + column - 3,
            _ => 0,
        };
        assert!(matrix.indexed_iter().all(|((row, column), &element)| element as usize == right(row, column)));
        assert!(room.iter().enumerate().all(|(i, &element)| element as usize == 1 + i / 6));
    }

    #[test]
    fn a_panic_of_a_task_reaches_the_caller_and_the_team_works_on() {
        let team = Team::new(2).unwrap();
        let done = AtomicUsize::new(0);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            team.run(20, |task| {
                assert!(task != 11, "planted");
                done.fetch_add(1, Ordering::Relaxed);
            });
        }));
        assert!(outcome.is_err());
        assert_eq!(done.load(Ordering::Relaxed), 19);
        team.run(5, |_| {
            done.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.load(Ordering::Relaxed), 24);
    }

    #[test]
    fn a_job_within_a_job_runs_too() {
        let team = Team::new(2).unwrap();
        let done = AtomicUsize::new(0);
        team.run(4, |_| {
            team.run(4, |_| {
                done.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(done.load(Ordering::Relaxed), 16);
    }
}
