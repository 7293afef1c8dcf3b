//! Lets every test, example and benchmark of this crate find libtorch at run time by itself.

fn main() {
    libtorch_link::link();
}
