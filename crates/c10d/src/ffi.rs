//! The C functions of `shim/shim.h`, and owners for what they hand out. All of the crate's `unsafe` stands here.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{NonNull, null, null_mut};

use tch::Tensor;

#[repr(C)]
struct RawGroup {
    _private: [u8; 0],
}

#[repr(C)]
struct RawWork {
    _private: [u8; 0],
}

#[repr(C)]
struct RawOptions {
    host: *const c_char,
    port: u16,
    is_server: i32,
    path: *const c_char,
    prefix: *const c_char,
    interface: *const c_char,
    address: *const c_char,
    rank: i32,
    world: i32,
    timeout_ms: i64,
}

unsafe extern "C" {
    fn c10d_group_new(options: *const RawOptions, out: *mut *mut RawGroup) -> *mut c_char;
    fn c10d_group_free(group: *mut RawGroup);
    fn c10d_nccl_state() -> i32;
    fn c10d_gpu_identity(device: i32, out: *mut u8) -> *mut c_char;
    fn c10d_group_add_nccl(group: *mut RawGroup, device: i32) -> *mut c_char;
    fn c10d_all_reduce(
        group: *mut RawGroup,
        tensor: *mut c_void,
        op: i32,
        out: *mut *mut RawWork,
    ) -> *mut c_char;
    fn c10d_broadcast(
        group: *mut RawGroup,
        tensor: *mut c_void,
        root: i32,
        out: *mut *mut RawWork,
    ) -> *mut c_char;
    fn c10d_all_gather(
        group: *mut RawGroup,
        output: *mut c_void,
        input: *mut c_void,
        out: *mut *mut RawWork,
    ) -> *mut c_char;
    fn c10d_barrier(group: *mut RawGroup, out: *mut *mut RawWork) -> *mut c_char;
    fn c10d_work_wait(work: *mut RawWork) -> *mut c_char;
    fn c10d_free_message(message: *mut c_char);
}

/// What [`Group::new`] needs; text without a zero byte.
pub(crate) struct Options {
    /// Host and port of the TCP store, or the path of a file store.
    pub(crate) store: Result<(CString, u16), CString>,
    pub(crate) is_server: bool,
    pub(crate) prefix: CString,
    pub(crate) interface: Option<CString>,
    pub(crate) address: Option<CString>,
    pub(crate) rank: i32,
    pub(crate) world: i32,
    pub(crate) timeout_ms: i64,
}

/// An owned `c10d_group`.
#[derive(Debug)]
pub(crate) struct Group(NonNull<RawGroup>);

// SAFETY: the group and its store are reference-counted objects without ties to a thread; `&self` calls are kept to one thread at a
// time, since the type is not `Sync`. What a `Work` on another thread shares with its group, the engines, have locks of their own.
unsafe impl Send for Group {}

/// An owned `c10d_work`: an operation under way.
#[derive(Debug)]
pub(crate) struct Work(Option<NonNull<RawWork>>);

// SAFETY: as for `Group`.
unsafe impl Send for Work {}

fn outcome(message: *mut c_char) -> Result<(), String> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: a message of the shim is a string that ends with a zero byte and is freed once, here.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    // SAFETY: see above.
    unsafe { c10d_free_message(message) };
    Err(text)
}

fn started(message: *mut c_char, work: *mut RawWork) -> Result<Work, String> {
    outcome(message)?;
    Ok(Work(NonNull::new(work)))
}

/// Whether NCCL can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NcclState {
    /// It was not compiled in.
    Absent,
    /// It was, but libtorch with another version.
    OtherVersion,
    /// It can.
    Usable,
}

pub(crate) fn nccl_state() -> NcclState {
    // SAFETY: no arguments; what it reads does not change.
    match unsafe { c10d_nccl_state() } {
        0 => NcclState::Absent,
        1 => NcclState::OtherVersion,
        _ => NcclState::Usable,
    }
}

/// What a CUDA device has to itself.
pub(crate) fn gpu_identity(device: i32) -> Result<[u8; 16], String> {
    let mut identity = [0; 16];
    // SAFETY: the shim writes 16 bytes, or none and a message.
    outcome(unsafe { c10d_gpu_identity(device, identity.as_mut_ptr()) })?;
    Ok(identity)
}

fn pointer(tensor: &Tensor) -> *mut c_void {
    tensor.as_ptr().cast_mut().cast()
}

impl Group {
    pub(crate) fn new(options: &Options) -> Result<Self, String> {
        let text = |text: &Option<CString>| text.as_ref().map_or(null(), |text| text.as_ptr());
        let (host, port, path) = match &options.store {
            Ok((host, port)) => (host.as_ptr(), *port, null()),
            Err(path) => (null(), 0, path.as_ptr()),
        };
        let raw = RawOptions {
            host,
            port,
            is_server: options.is_server.into(),
            path,
            prefix: options.prefix.as_ptr(),
            interface: text(&options.interface),
            address: text(&options.address),
            rank: options.rank,
            world: options.world,
            timeout_ms: options.timeout_ms,
        };
        let mut group = null_mut();
        // SAFETY: every pointer in `raw` is null or a string that `options` keeps alive during the call.
        outcome(unsafe { c10d_group_new(&raw, &mut group) })?;
        NonNull::new(group)
            .map(Self)
            .ok_or_else(|| "the shim made no group".to_owned())
    }

    pub(crate) fn add_nccl(&mut self, device: i32) -> Result<(), String> {
        // SAFETY: the group is alive, and used by nobody else.
        outcome(unsafe { c10d_group_add_nccl(self.0.as_ptr(), device) })
    }

    pub(crate) fn all_reduce(&self, tensor: &Tensor, op: i32) -> Result<Work, String> {
        let mut work = null_mut();
        // SAFETY: the group is alive; the tensor is one of libtorch, whose reference the shim copies.
        let message = unsafe { c10d_all_reduce(self.0.as_ptr(), pointer(tensor), op, &mut work) };
        started(message, work)
    }

    pub(crate) fn broadcast(&self, tensor: &Tensor, root: i32) -> Result<Work, String> {
        let mut work = null_mut();
        // SAFETY: as in `all_reduce`.
        let message = unsafe { c10d_broadcast(self.0.as_ptr(), pointer(tensor), root, &mut work) };
        started(message, work)
    }

    pub(crate) fn all_gather(&self, output: &Tensor, input: &Tensor) -> Result<Work, String> {
        let mut work = null_mut();
        // SAFETY: as in `all_reduce`.
        let message = unsafe { c10d_all_gather(self.0.as_ptr(), pointer(output), pointer(input), &mut work) };
        started(message, work)
    }

    pub(crate) fn barrier(&self) -> Result<Work, String> {
        let mut work = null_mut();
        // SAFETY: the group is alive.
        let message = unsafe { c10d_barrier(self.0.as_ptr(), &mut work) };
        started(message, work)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        unsafe { c10d_group_free(self.0.as_ptr()) }
    }
}

impl Work {
    pub(crate) fn wait(mut self) -> Result<(), String> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), String> {
        match self.0.take() {
            // SAFETY: owned, and taken, so that it is freed once.
            Some(work) => outcome(unsafe { c10d_work_wait(work.as_ptr()) }),
            None => Ok(()),
        }
    }
}

impl Drop for Work {
    /// Waits: the operation uses tensors whose values somebody may read next.
    fn drop(&mut self) {
        let _ = self.finish();
    }
}
