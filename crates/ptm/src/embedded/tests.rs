mod faults;
mod networks;
mod secrets;
mod sending;
mod waiting;
mod world;
