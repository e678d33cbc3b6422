/* A device made of a file: the flash, a bootloader and an application, in one program. Killing it is a power cut.
 *
 * The application's only use is to update itself. An image is a byte, a line, "works VERSION" or "hangs
 * VERSION", and anything behind it. One that hangs is reset by the watchdog before it reaches the platform.
 *
 * usage: device FLASH provision IMAGE
 *        device FLASH run PORT PRODUCT_KEY DEVICE_NAME SECRET [OPERATIONS]
 *
 * With OPERATIONS it dies in the middle of that write or erase. */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "otaru.h"

#define SLOT 0x100000u
#define FLASH (4 * OTARU_SECTOR + 2 * SLOT)
#define BLOCK 4096
#define MOST_READ (72 * 1024) /* bytes of the flash, in one poll */

static const otaru_boot_layout layout = {
    .log = {0, 2 * OTARU_SECTOR},
    .journal = {2 * OTARU_SECTOR, 2 * OTARU_SECTOR},
    .slots = {{4 * OTARU_SECTOR, SLOT}, {4 * OTARU_SECTOR + SLOT, SLOT}},
};

static int die(const char *what, const char *why)
{
    fprintf(stderr, "device: %s: %s\n", what, why);
    exit(1);
}

/* ---- the flash: a file, in which bits only become 0 */

static long left = -1; /* operations until the power goes; -1: it does not */

/* Whether this operation is the one that is cut. */
static bool last_operation(void)
{
    return left > 0 && --left == 0;
}

static size_t read_at_once; /* bytes, in this poll */

static int32_t flash_read(void *context, uint32_t offset, uint8_t *bytes, size_t len)
{
    read_at_once += len;
    return pread(*(int *)context, bytes, len, offset) == (ssize_t)len ? 0 : -1;
}

static int32_t flash_write(void *context, uint32_t offset, const uint8_t *bytes, size_t len)
{
    uint8_t before[BLOCK];
    bool cut = last_operation();
    if (len > sizeof before || offset % OTARU_WRITE_UNIT || len % OTARU_WRITE_UNIT)
        return -2;
    if (flash_read(context, offset, before, len) != 0)
        return -1;
    for (size_t at = 0; at < len; at++)
        if ((before[at] & bytes[at]) != bytes[at])
            return -3;
    if (cut)
        len /= 2;
    if (pwrite(*(int *)context, bytes, len, offset) != (ssize_t)len)
        return -1;
    return cut ? raise(SIGKILL) : 0;
}

static int32_t flash_erase(void *context, uint32_t offset, size_t len)
{
    uint8_t blank[OTARU_SECTOR];
    bool cut = last_operation();
    memset(blank, 0xFF, sizeof blank);
    if (offset % OTARU_SECTOR || len % OTARU_SECTOR)
        return -2;
    for (; len > 0; offset += OTARU_SECTOR, len -= OTARU_SECTOR) {
        size_t now = cut ? OTARU_SECTOR / 2 : OTARU_SECTOR;
        if (pwrite(*(int *)context, blank, now, offset) != (ssize_t)now)
            return -1;
        if (cut)
            raise(SIGKILL);
    }
    return 0;
}

static int file;
static const otaru_flash flash = {&file, FLASH, flash_read, flash_write, flash_erase};

static void provision(const char *image)
{
    static uint8_t bytes[SLOT];
    uint8_t blank[OTARU_SECTOR];
    otaru_boot boot;
    FILE *from = fopen(image, "rb");
    size_t len;
    if (from == NULL)
        die(image, "cannot be read");
    len = fread(bytes, 1, sizeof bytes, from);
    fclose(from);
    memset(blank, 0xFF, sizeof blank);
    for (uint32_t at = 0; at < FLASH; at += sizeof blank)
        if (pwrite(file, blank, sizeof blank, at) != (ssize_t)sizeof blank)
            die("flash", "cannot be written");
    if (pwrite(file, bytes, len, layout.slots[0].start) != (ssize_t)len)
        die("flash", "cannot be written");
    if (otaru_boot_provision(&boot, sizeof boot, &flash, &layout, (uint32_t)len) != OTARU_OK)
        die("provision", otaru_boot_error(&boot));
}

/* ---- the application */

struct application {
    const char *product_key, *device_name, *secret, *version;
    uint16_t port;
    int socket; /* -1: none */
    bool begun, to_acknowledge;
    FILE *file; /* that comes over HTTP; NULL: none */
    uint32_t fetch, fetched, fetch_end;
    otaru_boot boot;
    otaru_device device;
    uint8_t received[BLOCK + 512];
};

static volatile sig_atomic_t asked_to_end;

static void end(int number)
{
    (void)number;
    asked_to_end = 1;
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static void must(struct application *app, const char *what, otaru_result result)
{
    if (result != OTARU_OK)
        die(what, otaru_error(&app->device));
}

static void close_socket(struct application *app)
{
    if (app->socket >= 0)
        close(app->socket);
    app->socket = -1;
}

static void lost(struct application *app)
{
    close_socket(app);
    must(app, "closed", otaru_closed(&app->device, now()));
}

/* A connection to the platform; -1 if there is none. */
static int connection(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int found = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (found >= 0 && connect(found, (struct sockaddr *)&to, sizeof to) == 0)
        return found;
    if (found >= 0)
        close(found);
    return -1;
}

static void dial(struct application *app)
{
    app->socket = connection(app->port);
    if (app->socket < 0)
        lost(app);
    else
        must(app, "opened", otaru_opened(&app->device, now()));
}

static void send_all(struct application *app, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(app->socket, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            lost(app);
            return;
        }
        bytes += sent;
        len -= (size_t)sent;
    }
}

/* ---- files over HTTP */

static void fetch_ended(struct application *app, const char *why)
{
    if (app->file != NULL)
        fclose(app->file);
    app->file = NULL;
    if (why != NULL)
        must(app, "fetch failed", otaru_fetch_failed(&app->device, now(), app->fetch, why));
}

/* Asks for a file; what comes is taken by fetch_more. */
static void fetch(struct application *app, const otaru_todo *todo)
{
    char host[64], path[400], line[400] = "";
    unsigned port, status = 0;
    int socket = -1;
    fetch_ended(app, NULL);
    app->fetch = todo->id;
    app->fetched = todo->offset;
    app->fetch_end = todo->offset + todo->size;
    if (sscanf(todo->url, "http://%63[^:/]:%u%399s", host, &port, path) == 3)
        socket = connection((uint16_t)port);
    if (socket < 0 || (app->file = fdopen(socket, "r+")) == NULL) {
        fetch_ended(app, "no connection");
        return;
    }
    fprintf(app->file, "GET %s HTTP/1.1\r\nHost: %s:%u\r\nRange: bytes=%u-\r\nConnection: close\r\n\r\n", path, host, port,
            (unsigned)todo->offset);
    fflush(app->file);
    if (fgets(line, sizeof line, app->file) == NULL || sscanf(line, "HTTP/1.1 %u", &status) != 1 || status != 206)
        fetch_ended(app, "no good answer");
    while (app->file != NULL && fgets(line, sizeof line, app->file) != NULL && strcmp(line, "\r\n") != 0) {
    }
}

/* Hands over the next block. In between the device is polled: it remembers how far it is. */
static void fetch_more(struct application *app)
{
    uint8_t block[BLOCK];
    size_t wanted = app->fetch_end - app->fetched < BLOCK ? app->fetch_end - app->fetched : BLOCK;
    if (fread(block, 1, wanted, app->file) != wanted)
        fetch_ended(app, "it ended early");
    else if (otaru_fetched(&app->device, app->fetch, app->fetched, block, wanted) != OTARU_OK)
        fetch_ended(app, NULL);
    else if ((app->fetched += (uint32_t)wanted) == app->fetch_end)
        fetch_ended(app, NULL);
}

/* ---- the application again */

/* The platform took the login: this image works. */
static void online(struct application *app)
{
    otaru_boot_info info;
    otaru_module module = {.name = "default", .version = app->version};
    otaru_updates updates = {.modules = &module, .module_count = 1, .flash = flash, .journal = layout.journal,
                             .block = BLOCK, .window = 4, .http = 1};
    if (app->begun)
        return;
    if (otaru_boot_confirm(&app->boot) == OTARU_OK)
        printf("confirmed %s\n", app->version);
    if (otaru_boot_info_of(&app->boot, &info) != OTARU_OK || info.spare < 0)
        die("boot", otaru_boot_error(&app->boot));
    module.slot = layout.slots[info.spare];
    must(app, "begin", otaru_begin(&app->device, &updates));
    app->begun = true;
    if (info.state == OTARU_ROLLED_BACK) {
        must(app, "rolled back", otaru_rolled_back(&app->device, "default", info.text));
        app->to_acknowledge = true;
    }
}

static void happened(struct application *app, const otaru_todo *todo)
{
    if (todo->event == OTARU_ONLINE)
        online(app);
    else if (todo->event == OTARU_STARTED)
        printf("update to %s: %u bytes, from %u\n", todo->version, (unsigned)todo->size, (unsigned)todo->offset);
    else if (todo->event == OTARU_UPDATE_FAILED || todo->event == OTARU_REFUSED)
        printf("failed: %s\n", todo->text);
}

static void install(struct application *app, const otaru_todo *todo)
{
    if (otaru_boot_install(&app->boot, todo->size) == OTARU_OK)
        must(app, "done", otaru_done(&app->device));
    else
        must(app, "failed", otaru_failed(&app->device, otaru_boot_error(&app->boot)));
}

/* Waits for bytes, or until that time. */
static void rest(struct application *app, uint64_t until)
{
    uint64_t time = now(), wait = until > time ? until - time : 0;
    struct pollfd from = {.fd = app->socket, .events = POLLIN};
    uint8_t *place;
    size_t room;
    ssize_t got;
    if (app->to_acknowledge) {
        app->to_acknowledge = false;
        if (otaru_boot_acknowledge(&app->boot) != OTARU_OK)
            die("acknowledge", otaru_boot_error(&app->boot));
    }
    fflush(stdout);
    if (app->file != NULL) {
        fetch_more(app);
        wait = 0;
    }
    if (poll(&from, app->socket >= 0, wait > 1000 ? 1000 : (int)wait) <= 0 || app->socket < 0)
        return;
    must(app, "inbox", otaru_inbox(&app->device, &place, &room));
    got = recv(app->socket, place, room, 0);
    if (got <= 0)
        lost(app);
    else
        must(app, "received", otaru_received(&app->device, (size_t)got));
}

/* From one start to the next. */
static void run(struct application *app)
{
    otaru_login login = {.product_key = app->product_key, .device_name = app->device_name,
                         .device_secret = app->secret, .buffer = app->received, .buffer_size = sizeof app->received};
    otaru_todo todo;
    app->socket = -1;
    app->file = NULL;
    app->begun = app->to_acknowledge = false;
    must(app, "init", otaru_init(&app->device, sizeof app->device, &login));
    while (!asked_to_end) {
        read_at_once = 0;
        must(app, "poll", otaru_poll(&app->device, now(), &todo));
        if (read_at_once > MOST_READ)
            die("poll", "reads so much that nobody else gets a turn");
        switch (todo.kind) {
        case OTARU_OPEN: dial(app); break;
        case OTARU_SEND: send_all(app, todo.data, todo.len); break;
        case OTARU_CLOSE: printf("closed: %s\n", todo.text); close_socket(app); break;
        case OTARU_FETCH: fetch(app, &todo); break;
        case OTARU_HAPPENED: happened(app, &todo); break;
        case OTARU_INSTALL: install(app, &todo); break;
        case OTARU_WAIT: rest(app, todo.until); break;
        case OTARU_REBOOT: return;
        default: die("poll", "wants what this device did not ask for");
        }
    }
    close_socket(app);
    fetch_ended(app, NULL);
}

/* ---- the bootloader */

static void power_on(struct application *app)
{
    char head[65] = {0}, version[64];
    uint32_t slot;
    if (otaru_boot_open(&app->boot, sizeof app->boot, &flash, &layout) != OTARU_OK ||
        otaru_boot_start(&app->boot, &slot) != OTARU_OK)
        die("boot", otaru_boot_error(&app->boot));
    flash_read(&file, layout.slots[slot].start + 1, (uint8_t *)head, sizeof head - 1);
    printf("start of slot %u: %.*s\n", (unsigned)slot, (int)strcspn(head, "\n"), head);
    fflush(stdout);
    if (sscanf(head, "works %63s", version) != 1)
        return;
    app->version = version;
    run(app);
}

int main(int count, char **words)
{
    static struct application app;
    if (count < 4 || (file = open(words[1], O_RDWR | O_CREAT, 0600)) < 0)
        return die("usage", "device FLASH provision IMAGE | run PORT PRODUCT_KEY DEVICE_NAME SECRET [OPERATIONS]");
    if (strcmp(words[2], "provision") == 0) {
        provision(words[3]);
        return 0;
    }
    if (count < 7)
        return die("usage", "device FLASH run PORT PRODUCT_KEY DEVICE_NAME SECRET [OPERATIONS]");
    app.port = (uint16_t)atoi(words[3]);
    app.product_key = words[4];
    app.device_name = words[5];
    app.secret = words[6];
    left = count > 7 ? atol(words[7]) : -1;
    signal(SIGTERM, end);
    while (!asked_to_end)
        power_on(&app);
    close(file);
    return 0;
}
