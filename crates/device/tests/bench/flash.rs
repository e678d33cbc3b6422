//! A slot and a record that survive power cuts, as badly as the updater's contract allows.

use std::collections::BTreeMap;

use otaru_device::Record;

use super::Rng;

/// The power was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut;

/// Storage with a slot, a record and the images that run.
#[derive(Default)]
pub struct Flash {
    slot: Vec<u8>,
    /// Writes that a power cut may undo or tear.
    loose: Vec<(usize, Vec<u8>)>,
    record: Option<Vec<u8>>,
    pub images: BTreeMap<String, Vec<u8>>,
    /// Cut the power at the operation with this number, counted from 0.
    pub cut_at: Option<u64>,
    pub operations: u64,
}

impl Flash {
    pub fn record(&self) -> Option<Record> {
        Record::from_bytes(self.record.as_deref()?)
    }

    pub fn prepare(&mut self, size: u32) -> Result<(), Cut> {
        self.operation()?;
        self.slot = vec![0xFF; size as usize];
        self.loose.clear();
        Ok(())
    }

    pub fn write(&mut self, offset: u32, data: &[u8]) -> Result<(), Cut> {
        self.loose.push((offset as usize, data.to_vec()));
        self.operation()
    }

    pub fn read(&mut self, offset: u32, len: u32) -> Vec<u8> {
        let mut slot = self.slot.clone();
        for (at, data) in &self.loose {
            slot[*at..at + data.len()].copy_from_slice(data);
        }
        slot[offset as usize..(offset + len) as usize].to_vec()
    }

    /// Two operations: what was written becomes durable, then the record changes.
    pub fn save(&mut self, record: Option<Record>) -> Result<(), Cut> {
        self.operation()?;
        self.slot = self.read(0, self.slot.len() as u32);
        self.loose.clear();
        self.operation()?;
        self.record = record.map(|record| record.to_bytes().to_vec());
        Ok(())
    }

    pub fn install(&mut self, module: &str, size: u32) -> Result<(), Cut> {
        self.operation()?;
        let image = self.read(0, size);
        self.images.insert(module.to_owned(), image);
        Ok(())
    }

    /// Damages a byte of the slot.
    pub fn rot(&mut self, offset: usize) {
        let len = self.slot.len() as u32;
        self.slot = self.read(0, len);
        self.loose.clear();
        self.slot[offset] ^= 1;
    }

    /// After a cut: of each write that was not durable yet a random part from its start is there.
    pub fn power_on(&mut self, rng: &mut Rng) {
        for (at, data) in std::mem::take(&mut self.loose) {
            let part = rng.below(data.len() as u64 + 1) as usize;
            self.slot[at..at + part].copy_from_slice(&data[..part]);
        }
    }

    fn operation(&mut self) -> Result<(), Cut> {
        let number = self.operations;
        self.operations += 1;
        if self.cut_at == Some(number) { Err(Cut) } else { Ok(()) }
    }
}
