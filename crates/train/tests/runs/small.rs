//! Configurations of runs that have learned next to nothing.

/// Images.
pub const DIGITS: &str = "name = \"tiny\"\n[data]\nkind = \"digits\"\n[net]\nkind = \"unet2d\"\nchannels = 8\nchannel_mult = [1]\nblocks = 1\n\
     groups = 4\nmid_attention = false\n[train]\nsteps = 3\nbatch = 16\nholdout = 0.1\nsamples = 20\n[sampler]\nkind = \"heun\"\nsteps = 2\n";
/// Series.
pub const SERIES: &str = "name = \"waves\"\n[data]\nkind = \"synthetic-1d\"\nrows = 300\nlength = 16\n[net]\nkind = \"unet1d\"\nchannels = 8\n\
     channel_mult = [1]\nblocks = 1\ngroups = 4\nmid_attention = false\n[train]\nsteps = 3\nbatch = 16\nholdout = 0\nsamples = 20\n\
     [sampler]\nkind = \"heun\"\nsteps = 2\n";
