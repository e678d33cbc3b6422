//! The network card, for smoltcp.
#![allow(unsafe_code)]

use core::ptr::NonNull;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use virtio_drivers::device::net::VirtIONetRaw;
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceType, Transport};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

use crate::machine;

/// Where cards may be plugged in, and how many.
const PLACES: (usize, usize, usize) = (0x1000_1000, 0x1000, 8);

/// Frames that may wait to be received; the queue takes as many.
const FRAMES: usize = 16;

/// The longest frame, and with what the card puts before it.
const FRAME: usize = 1514;
const ROOM: usize = 1600;

struct Memory;

// SAFETY: addresses are the same for card and processor, and memory that was taken is never given back.
unsafe impl Hal for Memory {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let start = NonNull::from(machine::take(pages * PAGE_SIZE)).cast();
        (start.as_ptr() as usize as PhysAddr, start)
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        0
    }

    unsafe fn mmio_phys_to_virt(start: PhysAddr, _: usize) -> NonNull<u8> {
        NonNull::new(start as usize as *mut u8).unwrap_or(NonNull::dangling())
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr() as usize as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

type Driver = VirtIONetRaw<Memory, MmioTransport<'static>, FRAMES>;

/// A network card.
pub struct Card {
    driver: Driver,
    /// What the card fills, by the number that the driver gave it.
    frames: [Option<&'static mut [u8]>; FRAMES],
    received: [u8; FRAME],
}

impl Card {
    /// The first card that is plugged in.
    pub fn find() -> Option<Self> {
        let (first, size, count) = PLACES;
        let transport = (0..count).find_map(|place| {
            let header = NonNull::new((first + place * size) as *mut VirtIOHeader)?;
            // SAFETY: this is where QEMU has them, or says that there is none. Nobody else takes them.
            let transport = unsafe { MmioTransport::new(header, size) }.ok()?;
            (transport.device_type() == DeviceType::Network).then_some(transport)
        })?;
        let mut card = Self {
            driver: Driver::new(transport).ok()?,
            frames: [const { None }; FRAMES],
            received: [0; FRAME],
        };
        for _ in 0..FRAMES {
            card.offer(machine::take(ROOM));
        }
        Some(card)
    }

    /// Its address.
    pub fn address(&self) -> [u8; 6] {
        self.driver.mac_address()
    }

    /// Lets the card fill these bytes.
    fn offer(&mut self, frame: &'static mut [u8]) {
        // SAFETY: they are put away until the card is done with them.
        if let Ok(number) = unsafe { self.driver.receive_begin(frame) } {
            self.frames[usize::from(number)] = Some(frame);
        }
    }

    /// Copies the next frame out, and says how long it is.
    fn next(&mut self) -> Option<usize> {
        let number = self.driver.poll_receive()?;
        let frame = self.frames[usize::from(number)].take()?;
        // SAFETY: these are the bytes that belong to this number.
        let (start, len) = unsafe { self.driver.receive_complete(number, frame) }.ok()?;
        let len = len.min(FRAME);
        self.received[..len].copy_from_slice(&frame[start..start + len]);
        self.offer(frame);
        Some(len)
    }
}

impl Device for Card {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sender<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sender<'_>)> {
        let len = self.next()?;
        Some((Received(&self.received[..len]), Sender(&mut self.driver)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sender<'_>> {
        Some(Sender(&mut self.driver))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}

/// A frame that came.
pub struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

/// A frame that may be sent.
pub struct Sender<'a>(&'a mut Driver);

impl TxToken for Sender<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut frame = [0; FRAME];
        let result = write(&mut frame[..len]);
        // A frame that the card does not take is one that was lost on the way.
        let _ = self.0.send(&frame[..len]);
        result
    }
}
