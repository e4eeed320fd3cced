//! Empty: the harm is done while it is built.
