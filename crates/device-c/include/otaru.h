// Updates of a device from an Otaru platform, for C. How it is used is told in docs/device-c.md; in short:
//
//   otaru_init      who the device is
//   otaru_begin     once the running image is known to work: modules, flash, journal
//   otaru_poll      says what to do next, again and again until it says OTARU_WAIT
//   otaru_...       what happened: the connection was opened or closed, bytes or a message came, it is installed
//
// Nothing is allocated and nothing needs to be freed. The functions of one device must not run at the same time: with
// several threads, take a lock around them. A function of the flash must not call back into what it is called from.
//
// A pointer must be NULL, which is refused, or point to what its type says. Texts end with a zero and have no more than 512
// bytes. Other values are checked, and refused with a result and a text.
//
// Made by cbindgen from crates/device-c; changes belong there.

#ifndef OTARU_H
#define OTARU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Words of an `otaru_boot`, of 8 bytes: enough for every processor.
#define OTARU_BOOT_WORDS 48

// The flash's sector for this library, in bytes: erases come in multiples of it. Smaller sectors of a chip must divide
// it.
#define OTARU_SECTOR 4096

// Writes begin at a multiple of this and come in multiples of it, in bytes: as much as the largest unit that a chip
// may have, so that every chip with a smaller one will do.
#define OTARU_WRITE_UNIT 32

// Reads begin at a multiple of this and come in multiples of it, in bytes.
#define OTARU_READ_UNIT 4

// The most modules that a device can have here.
#define OTARU_MODULES 4

// Words of an `otaru_mcu`, of 8 bytes: enough for every processor.
#define OTARU_MCU_WORDS 192

// Words of an `otaru_device`, of 8 bytes: enough for every processor.
#define OTARU_DEVICE_WORDS 720

// What every function returns.
typedef enum {
  // Done.
  OTARU_OK = 0,
  // A pointer is null, or a number is none that is possible. Nothing was done.
  OTARU_BAD_ARGUMENT = 1,
  // A text is not UTF-8 or has no end. Nothing was done.
  OTARU_BAD_TEXT = 2,
  // The device cannot be like this: a name, a version, a size. Nothing was done.
  OTARU_BAD_CONFIG = 3,
  // The flash fails, or its regions cannot be used.
  OTARU_BAD_FLASH = 4,
  // Not now: what was called for does not fit what is going on. Nothing was done.
  OTARU_NOT_NOW = 5,
  // The memory is null, not aligned, of another size than the header's, was moved, or was zero and never made ready.
  // Nothing was done.
  OTARU_NO_DEVICE = 6,
  // One of the flash's functions called back into what it was called from. Nothing was done. Two threads at a time are
  // not told: take a lock.
  OTARU_BUSY = 7,
} otaru_result;

// How sure the device is of the image that runs.
typedef enum {
  // It works.
  OTARU_CONFIRMED = 0,
  // It is new: it is left again unless `otaru_boot_confirm` is called.
  OTARU_ON_TRIAL = 1,
  // It is back because the other one is no good. Say `otaru_rolled_back`, and when that is published
  // `otaru_boot_acknowledge`.
  OTARU_ROLLED_BACK = 2,
} otaru_boot_state;

// What is to be done next, as `otaru_poll` says it.
typedef enum {
  // Nothing until `until` (`UINT64_MAX`: whenever that may be), or until something else is told to the device. In the
  // midst of a digest that is now: there is more to do, once others had their turn.
  OTARU_WAIT = 0,
  // Open a connection to the platform, TCP or TLS. Then `otaru_opened`, or `otaru_closed` if it cannot be opened.
  OTARU_OPEN = 1,
  // Send these `len` bytes at `data`, all of them, before the next `otaru_poll`.
  OTARU_SEND = 2,
  // Close the connection; `text` says why. Nothing needs to be told.
  OTARU_CLOSE = 3,
  // Only with an MQTT client of your own: publish the `len` bytes at `data` to `topic`, with QoS 1 if
  // `acknowledged`, else QoS 0.
  OTARU_PUBLISH = 4,
  // Only with `http`: fetch `url` from byte `offset` on, `size` bytes to the end of the file, and hand over what
  // comes with `otaru_fetched`, naming it by `id`.
  OTARU_FETCH = 5,
  // Only with `http`: the slot at `offset` holds file number `file` of a package of several, `size` bytes, for
  // `module`, and its digest is right. Take it out, durably; then `otaru_done`, or `otaru_failed`.
  OTARU_KEEP = 6,
  // The slot at `offset` holds the image, `size` bytes, of version `version` for `module`, and its digest is right:
  // make it what starts next, or pass it on. Then `otaru_done`, or `otaru_failed`. It may take as long as it needs.
  OTARU_INSTALL = 7,
  // Start again. All that is to be said is said; nothing else comes any more.
  OTARU_REBOOT = 8,
  // `event` happened; nothing needs to be done.
  OTARU_HAPPENED = 9,
} otaru_kind;

// What happened.
typedef enum {
  // The platform took the login: a new image that gets here has shown that it works. (Not with an MQTT client of
  // your own.)
  OTARU_ONLINE = 0,
  // An update of `module` to `version` begins, `size` bytes, of which `offset` are in the slot already.
  OTARU_STARTED = 1,
  // The file in the slot has the digest that was announced.
  OTARU_VERIFIED = 2,
  // The new version starts at the next boot.
  OTARU_INSTALLED = 3,
  // The update failed for the reason in `text`, and the platform is told.
  OTARU_UPDATE_FAILED = 4,
  // An offer was refused for the reason in `text`, and the platform is told.
  OTARU_REFUSED = 5,
  // The platform cancelled the update.
  OTARU_CANCELLED = 6,
} otaru_event;

// What is to be done next in a conversation with a part.
typedef enum {
  // Nothing until `until`, or until bytes have come.
  OTARU_MCU_WAIT = 0,
  // Send these `len` bytes at `data`, all of them, before the next `otaru_mcu_poll`.
  OTARU_MCU_SEND = 1,
  // It is over: the application answered, and says in `text` of which version it is. If an image was passed on, that is
  // the one it was to be.
  OTARU_MCU_RUNS = 2,
  // It is over: the part's loader answered, and waits for an image.
  OTARU_MCU_LOADER = 3,
  // It is over, and failed for the reason in `text`.
  OTARU_MCU_FAILED = 4,
} otaru_mcu_kind;

// Why an update is given up, as the platform knows it.
typedef enum {
  // Anything that is none of the others.
  OTARU_FAILED_UPGRADE = -1,
  // The file could not be fetched.
  OTARU_FAILED_DOWNLOAD = -2,
  // The file is not the one announced.
  OTARU_FAILED_VERIFY = -3,
  // The file could not be stored or installed.
  OTARU_FAILED_BURN = -4,
} otaru_failure;

// What starts. Its memory is the caller's, and stays where it is once it was opened: a copy is none. It may be opened
// again and again.
typedef struct {
  uint64_t words[OTARU_BOOT_WORDS];
} otaru_boot;

// A flash, or as much of it as the device may touch. Offsets are the caller's: from the start of the chip, of a
// partition, or of whatever the functions make of them.
//
// Each function returns 0 when it is done, or another number, which is told to the platform. They must not call any
// function of this library.
typedef struct {
  // Handed to the functions as it is.
  void *context;
  // Bytes of the flash.
  uint32_t capacity;
  // Reads `len` bytes at `offset`.
  int32_t (*read)(void *context, uint32_t offset, uint8_t *bytes, size_t len);
  // Writes `len` bytes at `offset`, durably. They were erased before and are written once.
  int32_t (*write)(void *context, uint32_t offset, const uint8_t *bytes, size_t len);
  // Erases `len` bytes at `offset`: afterwards all bits are 1.
  int32_t (*erase)(void *context, uint32_t offset, size_t len);
} otaru_flash;

// Some whole sectors of the flash.
typedef struct {
  // Offset of the first byte.
  uint32_t start;
  // Bytes.
  uint32_t len;
} otaru_region;

// The regions of a device whose bootloader uses this library.
typedef struct {
  // The boot log: two sectors or more.
  otaru_region log;
  // The journal of downloads: two sectors or more.
  otaru_region journal;
  // Slots 0 and 1.
  otaru_region slots[2];
} otaru_boot_layout;

// What runs.
typedef struct {
  // How sure the device is of it.
  otaru_boot_state state;
  // The slot that runs, or the `ota_` partition; -1 for `factory`.
  int32_t running;
  // The slot or the partition that takes a new image; -1 if there is none, as while an image is on trial.
  int32_t spare;
  // Why it is back; empty if it is not.
  char text[64];
} otaru_boot_info;

// A device. Its memory is the caller's, and stays where it is once `otaru_init` made it ready: a copy is no device.
// Nothing needs to be freed afterwards. `otaru_init` takes any memory; that the other functions tell one which it never
// got needs memory that was written before, as a `static` is.
typedef struct {
  uint64_t words[OTARU_DEVICE_WORDS];
} otaru_device;

// Who the device is. All texts stay where they are, unchanged, for as long as the device is used.
typedef struct {
  // Key of the device's product: 1 to 20 letters or digits.
  const char *product_key;
  // Name of the device in its product: 4 to 32 characters of A-Z a-z 0-9 - _ @ . :
  const char *device_name;
  // Secret of the device; NULL if an MQTT client of your own logs in.
  const char *device_secret;
  // 4 for MQTT 3.1.1 or 5 for MQTT 5; 0 is 4.
  uint32_t mqtt;
  // Seconds promised to the platform, 30 to 1200; 0 is 60.
  uint32_t keep_alive;
  // Where packets are received: a block and 512 bytes. With an MQTT client of your own, where the parts of a message are
  // put together; NULL if it hands over whole messages. It is the device's from now on.
  uint8_t *buffer;
  // Bytes of the buffer.
  size_t buffer_size;
} otaru_login;

// What an MQTT client of your own logs in with.
typedef struct {
  // The client id.
  char client_id[128];
  // The user name.
  char username[64];
  // The password: a signature.
  char password[72];
} otaru_credentials;

// One part of the device that has a version of its own. The texts stay where they are, unchanged, for as long as the
// device is used.
typedef struct {
  // 1 to 64 characters of A-Z a-z 0-9 . - _; "default" is the whole firmware.
  const char *name;
  // The version that runs now: 1 to 64 characters without quotes, backslashes and control characters.
  const char *version;
  // Where a new image goes: whole sectors that nothing depends on.
  otaru_region slot;
} otaru_module;

// How updates are taken. Zero stands for the usual value.
typedef struct {
  // The parts whose versions are reported, one to OTARU_MODULES. They are copied, their texts are not.
  const otaru_module *modules;
  // How many.
  size_t module_count;
  // The flash that the slots and the journal are in. It is copied, its context is not.
  otaru_flash flash;
  // Where the device remembers how far a download is: two sectors or more, apart from the slots.
  otaru_region journal;
  // Bytes asked for at a time, 256 to 131 072, a multiple of OTARU_WRITE_UNIT; 0 is 4096.
  uint32_t block;
  // How many blocks may be asked for at once, at most, 1 to 16; 0 is 2.
  uint32_t window;
  // Milliseconds to wait for a block before asking again, at most; 0 is 10 000.
  uint32_t reply_timeout;
  // Milliseconds from one entry in the journal to the next, at least. 0 remembers every block; more spares the flash, and
  // has a power cut cost the blocks of that time.
  uint32_t save_interval;
  // 1 if files may come over HTTP, fetched by the application; 0 if not.
  uint32_t http;
} otaru_updates;

// What is to be done next. Of the other fields those count that are named at its kind; texts and bytes stay as they
// are until the next `otaru_poll`.
typedef struct {
  // What it is.
  otaru_kind kind;
  // What happened.
  otaru_event event;
  // Until when nothing is to be done, in milliseconds of the caller's clock.
  uint64_t until;
  // Bytes to send or to publish.
  const uint8_t *data;
  // How many.
  size_t len;
  // Where to publish.
  const char *topic;
  // Whether the platform is to acknowledge it.
  bool acknowledged;
  // Number of a file, from 0.
  uint32_t file;
  // Name of a fetch.
  uint32_t id;
  // Where, in bytes.
  uint32_t offset;
  // How much, in bytes.
  uint32_t size;
  // Which module.
  const char *module;
  // Which version.
  const char *version;
  // An absolute URL.
  const char *url;
  // In words.
  const char *text;
} otaru_todo;

// How far an update is.
typedef struct {
  // Number of the file on its way, from 0.
  uint32_t file;
  // Its size in bytes.
  uint32_t size;
  // Bytes of it that are in the slot.
  uint32_t stored;
  // 0 to 100 of all files.
  uint32_t percent;
} otaru_progress;

// A conversation with a part behind a serial line. Its memory is the caller's, and stays where it is until the
// conversation is over: a copy is none.
typedef struct {
  uint64_t words[OTARU_MCU_WORDS];
} otaru_mcu;

// What is to be done next. Texts and bytes stay as they are until the next `otaru_mcu_poll`.
typedef struct {
  // What it is.
  otaru_mcu_kind kind;
  // Until when nothing is to be done, in milliseconds of the caller's clock.
  uint64_t until;
  // Bytes to send.
  const uint8_t *data;
  // How many.
  size_t len;
  // In words.
  const char *text;
} otaru_mcu_todo;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Opens the boot log, for a bootloader and the application that it starts. `size` is `sizeof(otaru_boot)`.
otaru_result otaru_boot_open(otaru_boot *boot,
                             size_t size,
                             const otaru_flash *flash,
                             const otaru_boot_layout *layout);

// Begins the boot log of a new device, whose first image of `image` bytes is in slot 0. For the factory.
otaru_result otaru_boot_provision(otaru_boot *boot,
                                  size_t size,
                                  const otaru_flash *flash,
                                  const otaru_boot_layout *layout,
                                  uint32_t image);

// Opens the partition `otadata` of Espressif's bootloader, two sectors. `partitions` is the number of `ota_` partitions,
// `running` the one that runs, or -1 for `factory`. With ESP-IDF its own `esp_ota_` functions do the same.
otaru_result otaru_boot_open_otadata(otaru_boot *boot,
                                     size_t size,
                                     const otaru_flash *flash,
                                     otaru_region otadata,
                                     uint32_t partitions,
                                     int32_t running);

// For the bootloader: the slot to start now. An image on trial has one start less afterwards; an image that is not whole
// is not started.
otaru_result otaru_boot_start(otaru_boot *boot,
                              uint32_t *slot);

// What runs.
otaru_result otaru_boot_info_of(otaru_boot *boot, otaru_boot_info *info);

// The spare slot holds a whole image of `image` bytes, whose digest was checked: it starts next, on trial.
otaru_result otaru_boot_install(otaru_boot *boot, uint32_t image);

// The running image works: it is what starts from now on.
otaru_result otaru_boot_confirm(otaru_boot *boot);

// The running image, on trial, finds that it does not work: the other one is what starts next. With Espressif's bootloader
// a start without `otaru_boot_confirm` does the same.
otaru_result otaru_boot_give_up(otaru_boot *boot);

// The platform was told that the device rolled back.
otaru_result otaru_boot_acknowledge(otaru_boot *boot);

// Why the last call here that did not return OTARU_OK was refused or failed. Never NULL.
const char *otaru_boot_error(const otaru_boot *boot);

// Makes a device ready in this memory; `size` is `sizeof(otaru_device)`. What was there before is forgotten: so a device
// is begun anew.
otaru_result otaru_init(otaru_device *device,
                        size_t size,
                        const otaru_login *login);

// Writes what an MQTT client of your own logs in with. The login must have the device's secret; no device is needed.
otaru_result otaru_credentials_of(const otaru_login *login,
                                  otaru_credentials *credentials);

// Says what `otaru_begin` would say of the modules, the block and the window, and does nothing: the flash is not touched
// and its regions are not looked at. To be called before the running image is confirmed: one that cannot begin is not one
// to keep.
otaru_result otaru_check(otaru_device *device,
                         const otaru_updates *updates);

// Begins to take updates: reads the journal, so that a download goes on where it was, and readies the slot for what is
// missing. To be called once, as soon as the running image is known to work: until then the other slot is what the
// device falls back to.
otaru_result otaru_begin(otaru_device *device,
                         const otaru_updates *updates);

// What to do next, at this time in milliseconds of any clock that does not run backwards. To be called until it says
// OTARU_WAIT: after every other call, and when the time it named has come. Storage is read, written and erased meanwhile.
otaru_result otaru_poll(otaru_device *device,
                        uint64_t now,
                        otaru_todo *todo);

// The connection is open.
otaru_result otaru_opened(otaru_device *device, uint64_t now);

// The connection could not be opened, or it ended. It is opened again after a while.
otaru_result otaru_closed(otaru_device *device, uint64_t now);

// Where bytes that come are to be received, and how many at most. Then `otaru_received`. There is no room while a packet
// waits for `otaru_poll`.
otaru_result otaru_inbox(otaru_device *device,
                         uint8_t **place,
                         size_t *room);

// So many bytes were received where `otaru_inbox` said.
otaru_result otaru_received(otaru_device *device, size_t len);

// With an MQTT client of your own: the platform took the login. No subscription is needed.
otaru_result otaru_connected(otaru_device *device);

// With an MQTT client of your own: the connection is gone.
otaru_result otaru_disconnected(otaru_device *device);

// With an MQTT client of your own: the platform has acknowledged all that was to be acknowledged. To be said whenever
// it is so and `otaru_poll` says OTARU_WAIT: what failed is told again on the next connection until this was said.
otaru_result otaru_settled(otaru_device *device);

// With an MQTT client of your own: a message came, or a part of one: `len` bytes at `data`, which are those from `offset`
// on of `total`. The whole message is one part at offset 0. Parts come in order, and are put together in the device's
// buffer, which must hold topic and payload; if they do not fit, the platform is told. `topic` has `topic_len` bytes and
// needs no zero; after the first part it may be NULL. None of the bytes may lie in the device's buffer. Blocks are
// written before this returns.
otaru_result otaru_message(otaru_device *device,
                           uint64_t now,
                           const char *topic,
                           size_t topic_len,
                           size_t total,
                           size_t offset,
                           const uint8_t *data,
                           size_t len);

// OTARU_KEEP or OTARU_INSTALL is done.
otaru_result otaru_done(otaru_device *device);

// OTARU_KEEP or OTARU_INSTALL could not be done; the platform is told why.
otaru_result otaru_failed(otaru_device *device, const char *why);

// With `http`: these bytes came for OTARU_FETCH `id`, from byte `offset` of the file on. They come in order, in pieces of
// the block's size but for the last, and are written before this returns. OTARU_NOT_NOW: the fetch is of no use any more
// and is to be ended.
otaru_result otaru_fetched(otaru_device *device,
                           uint32_t id,
                           uint32_t offset,
                           const uint8_t *data,
                           size_t len);

// With `http`: the fetch `id` ended before the end of the file. It is begun again after a while, five times at most.
otaru_result otaru_fetch_failed(otaru_device *device,
                                uint64_t now,
                                uint32_t id,
                                const char *why);

// At this start the device found that `module` is back on the image before. The platform is told at the next connection,
// before it hears the version. To be said right after `otaru_begin`.
otaru_result otaru_rolled_back(otaru_device *device,
                               const char *module,
                               const char *why);

// The device gives the running update up, for a reason of its own that the platform is told. `failure` is one of
// otaru_failure.
otaru_result otaru_abandon(otaru_device *device,
                           int32_t failure,
                           const char *why);

// How far the running update is. OTARU_NOT_NOW: there is none.
otaru_result otaru_progress_of(otaru_device *device, otaru_progress *progress);

// Why the last call on this device that did not return OTARU_OK was refused or failed. Never NULL. It stays until the
// next such call.
const char *otaru_error(const otaru_device *device);

// Begins to ask a part who it is. `size` is `sizeof(otaru_mcu)`.
otaru_result otaru_mcu_ask(otaru_mcu *mcu, size_t size);

// Begins to pass an image on to a part: `image` bytes at `offset` of the flash, whose application says that it is of version
// `version`, which stays where it is, unchanged, until the conversation is over. `size` is `sizeof(otaru_mcu)`. Reads the
// image once.
otaru_result otaru_mcu_pass_on(otaru_mcu *mcu,
                               size_t size,
                               const otaru_flash *flash,
                               uint32_t offset,
                               uint32_t image,
                               const char *version);

// These bytes came on the line.
otaru_result otaru_mcu_received(otaru_mcu *mcu, uint64_t now, const uint8_t *data, size_t len);

// What to do next, at this time in milliseconds of any clock that does not run backwards. To be called until it says
// OTARU_MCU_WAIT, after bytes were received and when the time it named has come. One that is over stays so.
otaru_result otaru_mcu_poll(otaru_mcu *mcu,
                            uint64_t now,
                            otaru_mcu_todo *todo);

// Why the last call here that did not return OTARU_OK was refused or failed. Never NULL.
const char *otaru_mcu_error(const otaru_mcu *mcu);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* OTARU_H */
