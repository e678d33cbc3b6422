//! The flash, which the program itself runs from: while it is written nothing else goes on, sector by sector.

use core::cell::RefCell;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use esp_bootloader_esp_idf::partitions::{PARTITION_TABLE_MAX_LEN, read_partition_table};
use esp_hal::peripherals::FLASH;
use esp_hal::rtc_cntl::Rwdt;
use esp_storage::{FlashStorage, FlashStorageError};

/// The flash and the watchdog, which must not take long erasing for a program that hangs.
pub struct Flash<'w> {
    storage: FlashStorage<'static>,
    watchdog: &'w RefCell<Rwdt>,
}

impl<'w> Flash<'w> {
    /// Takes the flash.
    pub fn new(flash: FLASH<'static>, watchdog: &'w RefCell<Rwdt>) -> Self {
        Self { storage: FlashStorage::new(flash), watchdog }
    }

    /// Where the image lies that runs; `None` if it cannot be told.
    pub fn running(&mut self) -> Option<u32> {
        let mut bytes = [0; PARTITION_TABLE_MAX_LEN];
        let table = read_partition_table(&mut self.storage, &mut bytes).ok()?;
        Some(table.booted_partition().ok()??.offset())
    }
}

impl ErrorType for Flash<'_> {
    type Error = FlashStorageError;
}

impl ReadNorFlash for Flash<'_> {
    const READ_SIZE: usize = <FlashStorage<'_> as ReadNorFlash>::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashStorageError> {
        ReadNorFlash::read(&mut self.storage, offset, bytes)
    }

    fn capacity(&self) -> usize {
        ReadNorFlash::capacity(&self.storage)
    }
}

impl NorFlash for Flash<'_> {
    const WRITE_SIZE: usize = <FlashStorage<'_> as NorFlash>::WRITE_SIZE;
    const ERASE_SIZE: usize = <FlashStorage<'_> as NorFlash>::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashStorageError> {
        self.watchdog.borrow_mut().feed();
        NorFlash::erase(&mut self.storage, from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashStorageError> {
        NorFlash::write(&mut self.storage, offset, bytes)
    }
}
