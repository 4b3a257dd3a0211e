//! AMD's compiler, ACO.
