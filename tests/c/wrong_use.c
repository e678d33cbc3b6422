/* What the library says to wrong use. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "otaru.h"

#define EXPECT(call, wanted, words) expect(__LINE__, (call), (wanted), (words))

static otaru_device device;
static uint8_t buffer[4096 + 512];
static uint8_t chip[6 * OTARU_SECTOR];
static int32_t flash_fails, calls_back; /* 1: into the device, 2: into the boot log */
static otaru_boot boot;

static void expect(int line, otaru_result found, otaru_result wanted, const char *words)
{
    const char *why = otaru_error(&device);
    if (found == wanted && (words == NULL || strstr(why, words) != NULL))
        return;
    fprintf(stderr, "line %d: result %d and \"%s\", not %d and \"%s\"\n", line, found, why, wanted, words ? words : "");
    exit(1);
}

static int32_t chip_read(void *context, uint32_t offset, uint8_t *bytes, size_t len)
{
    (void)context;
    if (calls_back == 1 && otaru_disconnected(&device) != OTARU_BUSY)
        return -7;
    memcpy(bytes, chip + offset, len);
    return flash_fails;
}

static int32_t chip_write(void *context, uint32_t offset, const uint8_t *bytes, size_t len)
{
    (void)context;
    if (calls_back == 2 && otaru_boot_acknowledge(&boot) != OTARU_BUSY)
        return -7;
    memcpy(chip + offset, bytes, len);
    return flash_fails;
}

static int32_t chip_erase(void *context, uint32_t offset, size_t len)
{
    (void)context;
    memset(chip + offset, 0xFF, len);
    return flash_fails;
}

static const otaru_flash flash = {NULL, sizeof chip, chip_read, chip_write, chip_erase};
static const otaru_region slot = {2 * OTARU_SECTOR, 4 * OTARU_SECTOR};

static otaru_login good_login(void)
{
    otaru_login login = {.product_key = "a1TestPk001", .device_name = "lamp-0001", .device_secret = "0123456789abcdef",
                         .buffer = buffer, .buffer_size = sizeof buffer};
    return login;
}

static otaru_updates good_updates(const otaru_module *module)
{
    otaru_updates updates = {.modules = module, .module_count = 1, .flash = flash, .journal = {0, 2 * OTARU_SECTOR}};
    return updates;
}

static void init(void)
{
    otaru_login login = good_login();
    EXPECT(otaru_init(&device, sizeof device, &login), OTARU_OK, NULL);
}

static void init_with_own_client(void)
{
    otaru_login login = good_login();
    login.device_secret = NULL;
    EXPECT(otaru_init(&device, sizeof device, &login), OTARU_OK, NULL);
}

static void before_and_without(void)
{
    static otaru_device copy;
    otaru_login login = good_login();
    otaru_todo todo;
    memset(&device, 0xA5, sizeof device);
    EXPECT(otaru_poll(&device, 0, &todo), OTARU_NO_DEVICE, "never made ready");
    EXPECT(otaru_poll(NULL, 0, &todo), OTARU_NO_DEVICE, NULL);
    EXPECT(otaru_init(NULL, sizeof device, &login), OTARU_NO_DEVICE, NULL);
    EXPECT(otaru_init(&device, sizeof device - 8, &login), OTARU_NO_DEVICE, NULL);
    EXPECT(otaru_init((otaru_device *)((char *)&device + 1), sizeof device, &login), OTARU_NO_DEVICE, NULL);
    EXPECT(otaru_init(&device, sizeof device, NULL), OTARU_BAD_ARGUMENT, NULL);
    assert(strstr(otaru_error(NULL), "no memory") != NULL);
    init();
    copy = device;
    EXPECT(otaru_poll(&copy, 0, &todo), OTARU_NO_DEVICE, NULL);
    assert(strstr(otaru_error(&copy), "moved") != NULL);
}

static void bad_logins(void)
{
    static char endless[600];
    otaru_login login = good_login();
    otaru_todo todo;
    memset(endless, 'x', sizeof endless);
#define BAD(field, value, result, words)                                                                              \
    do {                                                                                                              \
        login = good_login();                                                                                         \
        login.field = value;                                                                                          \
        EXPECT(otaru_init(&device, sizeof device, &login), result, words);                                            \
        EXPECT(otaru_poll(&device, 0, &todo), OTARU_NO_DEVICE, words);                                                \
    } while (0)
    BAD(product_key, NULL, OTARU_BAD_ARGUMENT, "product_key is missing");
    BAD(product_key, "a1-", OTARU_BAD_CONFIG, "product key must be");
    BAD(device_name, "\xFF\xFE lamp", OTARU_BAD_TEXT, "device_name is not UTF-8");
    BAD(device_name, endless, OTARU_BAD_TEXT, "device_name is longer");
    BAD(device_name, "x", OTARU_BAD_CONFIG, "device name must be");
    BAD(device_secret, "", OTARU_BAD_ARGUMENT, "device_secret must be");
    BAD(mqtt, 3, OTARU_BAD_ARGUMENT, "mqtt must be");
    BAD(keep_alive, 5, OTARU_BAD_ARGUMENT, "keep_alive must be");
    BAD(buffer, NULL, OTARU_BAD_CONFIG, "must have 768");
    BAD(buffer, (uint8_t *)&device + 100, OTARU_BAD_ARGUMENT, "lies in the device");
    BAD(buffer_size, 100, OTARU_BAD_CONFIG, "the buffer has 100");
    BAD(buffer_size, (size_t)-1, OTARU_BAD_ARGUMENT, "buffer_size");
#undef BAD
}

static void bad_updates(void)
{
    otaru_module module = {"default", "1.0.0", {2 * OTARU_SECTOR, 4 * OTARU_SECTOR}};
    otaru_updates updates = good_updates(&module);
    memset(chip, 0xFF, sizeof chip);
    init();
    EXPECT(otaru_begin(&device, NULL), OTARU_BAD_ARGUMENT, "updates is missing");
    EXPECT(otaru_check(&device, NULL), OTARU_BAD_ARGUMENT, "updates is missing");
#define BAD(field, value, result, words)                                                                              \
    do {                                                                                                              \
        updates = good_updates(&module);                                                                              \
        updates.field = value;                                                                                        \
        EXPECT(otaru_begin(&device, &updates), result, words);                                                        \
    } while (0)
    BAD(modules, NULL, OTARU_BAD_ARGUMENT, "modules is missing");
    BAD(module_count, 0, OTARU_BAD_CONFIG, "1 to 4 modules");
    BAD(module_count, OTARU_MODULES + 1, OTARU_BAD_CONFIG, "1 to 4 modules");
    BAD(flash.write, NULL, OTARU_BAD_ARGUMENT, "function write is missing");
    BAD(flash.capacity, 5 * OTARU_SECTOR, OTARU_BAD_FLASH, "reaches beyond");
    BAD(journal.len, OTARU_SECTOR, OTARU_BAD_FLASH, "too small");
    BAD(journal.start, 5, OTARU_BAD_FLASH, "whole sectors");
    BAD(journal.start, 0xFFFFF000u, OTARU_BAD_FLASH, "reaches beyond");
    BAD(block, 1000, OTARU_BAD_CONFIG, "multiple of 32");
    BAD(block, 32, OTARU_BAD_CONFIG, "cannot be asked for");
    BAD(block, 8192, OTARU_BAD_CONFIG, "must have 8704");
    BAD(block, 0xFFFFFFE0u, OTARU_BAD_CONFIG, "must have");
    BAD(window, 1000, OTARU_BAD_CONFIG, "window of 1000");
#undef BAD
    module.version = "1.0\"";
    updates = good_updates(&module);
    EXPECT(otaru_begin(&device, &updates), OTARU_BAD_CONFIG, "module 1");
    EXPECT(otaru_check(&device, &updates), OTARU_BAD_CONFIG, "module 1");
    module.version = NULL;
    EXPECT(otaru_begin(&device, &updates), OTARU_BAD_ARGUMENT, "version is missing");
    module.version = "1.0.0";
    module.slot.len = 0xFFFFF000u;
    EXPECT(otaru_begin(&device, &updates), OTARU_BAD_FLASH, "reaches beyond");
    module.slot = slot;
    EXPECT(otaru_check(&device, &updates), OTARU_OK, NULL);
    flash_fails = -9; /* a journal that cannot be read is an empty one */
    EXPECT(otaru_begin(&device, &updates), OTARU_OK, NULL);
    flash_fails = 0;
    EXPECT(otaru_begin(&device, &updates), OTARU_NOT_NOW, "begun already");
    EXPECT(otaru_check(&device, &updates), OTARU_NOT_NOW, "begun already");
}

static void at_the_wrong_time(void)
{
    otaru_module module = {"default", "1.0.0", {2 * OTARU_SECTOR, 4 * OTARU_SECTOR}};
    otaru_updates updates = good_updates(&module);
    otaru_progress progress;
    otaru_todo todo;
    uint8_t *place;
    size_t room;
    init();
    EXPECT(otaru_done(&device), OTARU_NOT_NOW, "call otaru_begin first");
    EXPECT(otaru_opened(&device, 0), OTARU_NOT_NOW, "no connection was to be opened");
    EXPECT(otaru_closed(&device, 0), OTARU_OK, NULL);
    EXPECT(otaru_inbox(&device, &place, &room), OTARU_NOT_NOW, "no connection");
    EXPECT(otaru_received(&device, 1), OTARU_NOT_NOW, "no connection");
    EXPECT(otaru_connected(&device), OTARU_NOT_NOW, "MQTT client of their own");
    EXPECT(otaru_message(&device, 0, "t", 1, 1, 0, (const uint8_t *)"x", 1), OTARU_NOT_NOW, "MQTT client of their own");
    EXPECT(otaru_poll(&device, 0, NULL), OTARU_BAD_ARGUMENT, "todo is missing");
    EXPECT(otaru_poll(&device, 0, (otaru_todo *)((char *)&todo + 1)), OTARU_BAD_ARGUMENT, "not aligned");
    EXPECT(otaru_poll(&device, UINT64_MAX, &todo), OTARU_BAD_ARGUMENT, "the time");
    calls_back = 1;
    EXPECT(otaru_begin(&device, &updates), OTARU_OK, NULL);
    calls_back = 0;
    EXPECT(otaru_poll(&device, 1000, &todo), OTARU_OK, NULL);
    assert(todo.kind == OTARU_OPEN);
    EXPECT(otaru_opened(&device, 5), OTARU_OK, NULL); /* the clock went back: taken for the time before */
    EXPECT(otaru_inbox(&device, NULL, &room), OTARU_BAD_ARGUMENT, "place is missing");
    EXPECT(otaru_inbox(&device, &place, &room), OTARU_OK, NULL);
    assert(place == buffer && room == sizeof buffer);
    EXPECT(otaru_received(&device, sizeof buffer + 1), OTARU_BAD_ARGUMENT, "more bytes");
    EXPECT(otaru_done(&device), OTARU_NOT_NOW, "nothing was to be kept or installed");
    EXPECT(otaru_failed(&device, NULL), OTARU_BAD_ARGUMENT, "why is missing");
    EXPECT(otaru_fetched(&device, 1, 0, NULL, 5), OTARU_BAD_ARGUMENT, "data is missing");
    EXPECT(otaru_fetched(&device, 1, 0, buffer, 5), OTARU_NOT_NOW, "end it");
    EXPECT(otaru_fetch_failed(&device, 0, 1, "HTTP 500"), OTARU_OK, NULL);
    EXPECT(otaru_progress_of(&device, &progress), OTARU_NOT_NOW, "no update under way");
    EXPECT(otaru_progress_of(&device, NULL), OTARU_BAD_ARGUMENT, "progress is missing");
    EXPECT(otaru_abandon(&device, -9, "why"), OTARU_BAD_ARGUMENT, "no such failure");
    EXPECT(otaru_abandon(&device, OTARU_FAILED_UPGRADE, "why"), OTARU_NOT_NOW, "no update to give up");
    EXPECT(otaru_rolled_back(&device, NULL, "why"), OTARU_BAD_ARGUMENT, "module is missing");
}

/* Polls until there is nothing to be done; whether there is a connection then. */
static bool drain(uint64_t *now)
{
    static const uint8_t taken[] = {0x20, 2, 0, 0}; /* CONNACK: the login is good */
    otaru_todo todo;
    uint8_t *place;
    size_t room;
    for (;;) {
        EXPECT(otaru_poll(&device, *now, &todo), OTARU_OK, NULL);
        if (todo.kind == OTARU_WAIT && otaru_inbox(&device, &place, &room) == OTARU_OK)
            return true;
        if (todo.kind == OTARU_WAIT)
            *now = todo.until;
        if (todo.kind != OTARU_OPEN)
            continue;
        EXPECT(otaru_opened(&device, *now), OTARU_OK, NULL);
        EXPECT(otaru_poll(&device, *now, &todo), OTARU_OK, NULL);
        assert(todo.kind == OTARU_SEND && todo.data[0] == 0x10);
        EXPECT(otaru_inbox(&device, &place, &room), OTARU_OK, NULL);
        memcpy(place, taken, sizeof taken);
        EXPECT(otaru_received(&device, sizeof taken), OTARU_OK, NULL);
    }
}

/* Whatever a server sends, the device goes on. */
static void garbage(void)
{
    otaru_module module = {"default", "1.0.0", {2 * OTARU_SECTOR, 4 * OTARU_SECTOR}};
    otaru_updates updates = good_updates(&module);
    uint8_t *place;
    size_t room;
    uint64_t now = 0;
    srand(1);
    init();
    EXPECT(otaru_begin(&device, &updates), OTARU_OK, NULL);
    for (int packet = 0; packet < 3000 && drain(&now); packet++) {
        EXPECT(otaru_inbox(&device, &place, &room), OTARU_OK, NULL);
        if (room > 64)
            room = (size_t)rand() % 64;
        for (size_t at = 0; at < room; at++)
            place[at] = (uint8_t)rand();
        if (room > 0 && packet % 2)
            place[0] = 0x30; /* as a message begins */
        EXPECT(otaru_received(&device, room), OTARU_OK, NULL);
    }
}

static void own_client(void)
{
    otaru_module module = {"default", "1.0.0", {2 * OTARU_SECTOR, 4 * OTARU_SECTOR}};
    otaru_updates updates = good_updates(&module);
    const char *topic = "/ota/device/upgrade/a1TestPk001/lamp-0001";
    const uint8_t *data = (const uint8_t *)"{}";
    otaru_login login = good_login();
    otaru_credentials shown;
    otaru_todo todo;
    init_with_own_client();
    EXPECT(otaru_connected(&device), OTARU_NOT_NOW, "call otaru_begin first");
    EXPECT(otaru_begin(&device, &updates), OTARU_OK, NULL);
    EXPECT(otaru_opened(&device, 0), OTARU_NOT_NOW, "the library's");
    EXPECT(otaru_message(&device, 0, topic, strlen(topic), 2, 1, data, 2), OTARU_BAD_ARGUMENT, "beyond the end");
    EXPECT(otaru_message(&device, 0, topic, strlen(topic), SIZE_MAX, SIZE_MAX, data, 2), OTARU_BAD_ARGUMENT, NULL);
    EXPECT(otaru_message(&device, 0, topic, strlen(topic), 2, 0, NULL, 2), OTARU_BAD_ARGUMENT, "data is missing");
    EXPECT(otaru_message(&device, 0, "\xFF", 1, 2, 0, data, 2), OTARU_BAD_TEXT, "topic is not UTF-8");
    EXPECT(otaru_message(&device, 0, topic, strlen(topic), 2, 0, buffer + 7, 2), OTARU_BAD_ARGUMENT, "lies in");
    EXPECT(otaru_message(&device, 0, NULL, 0, 2, 0, data, 2), OTARU_OK, NULL);
    EXPECT(otaru_message(&device, 0, topic, strlen(topic), 2, 0, data, 2), OTARU_OK, NULL);
    EXPECT(otaru_connected(&device), OTARU_OK, NULL);
    EXPECT(otaru_poll(&device, 0, &todo), OTARU_OK, NULL);
    assert(todo.kind == OTARU_PUBLISH && strcmp(todo.topic, "/ota/device/inform/a1TestPk001/lamp-0001") == 0);
    assert(todo.acknowledged && memchr(todo.data, '1', todo.len) != NULL);
    /* A notice that does not fit is refused, and the platform is told. */
    EXPECT(otaru_message(&device, 0, topic, strlen(topic), sizeof buffer, 0, data, 2), OTARU_OK, NULL);
    EXPECT(otaru_message(&device, 0, NULL, 0, sizeof buffer, 2, data, 2), OTARU_OK, NULL);
    EXPECT(otaru_poll(&device, 0, &todo), OTARU_OK, NULL);
    assert(todo.kind == OTARU_HAPPENED && todo.event == OTARU_REFUSED && strstr(todo.text, "can receive") != NULL);
    EXPECT(otaru_settled(&device), OTARU_OK, NULL);
    EXPECT(otaru_disconnected(&device), OTARU_OK, NULL);
    assert(otaru_credentials_of(&login, &shown) == OTARU_OK && strstr(shown.client_id, "lamp-0001|") != NULL);
    assert(strcmp(shown.username, "lamp-0001&a1TestPk001") == 0 && strlen(shown.password) == 64);
    assert(otaru_credentials_of(NULL, &shown) == OTARU_BAD_ARGUMENT);
    assert(otaru_credentials_of(&login, NULL) == OTARU_BAD_ARGUMENT);
    login.device_secret = NULL;
    assert(otaru_credentials_of(&login, &shown) == OTARU_BAD_ARGUMENT);
}

static void boot_logs(void)
{
    static otaru_boot copy;
    otaru_boot_layout layout = {{0, 2 * OTARU_SECTOR}, {2 * OTARU_SECTOR, 2 * OTARU_SECTOR},
                                {{4 * OTARU_SECTOR, OTARU_SECTOR}, {5 * OTARU_SECTOR, OTARU_SECTOR}}};
    otaru_region otadata = {0, 2 * OTARU_SECTOR};
    otaru_boot_info info;
    uint32_t start;
    memset(chip, 0xFF, sizeof chip);
    assert(otaru_boot_confirm(&boot) == OTARU_NO_DEVICE && otaru_boot_confirm(NULL) == OTARU_NO_DEVICE);
    assert(otaru_boot_open(&boot, 1, &flash, &layout) == OTARU_NO_DEVICE);
    assert(otaru_boot_open(&boot, sizeof boot, NULL, &layout) == OTARU_BAD_ARGUMENT);
    assert(otaru_boot_open(&boot, sizeof boot, &flash, NULL) == OTARU_BAD_ARGUMENT);
    assert(otaru_boot_open(&boot, sizeof boot, &flash, &layout) == OTARU_BAD_FLASH);
    assert(strstr(otaru_boot_error(&boot), "never provisioned") != NULL);
    assert(otaru_boot_confirm(&boot) == OTARU_NO_DEVICE);
    assert(otaru_boot_provision(&boot, sizeof boot, &flash, &layout, OTARU_SECTOR + 1) == OTARU_BAD_FLASH);
    assert(otaru_boot_provision(&boot, sizeof boot, &flash, &layout, 100) == OTARU_OK);
    assert(otaru_boot_confirm(&boot) == OTARU_NOT_NOW && otaru_boot_give_up(&boot) == OTARU_NOT_NOW);
    assert(otaru_boot_start(&boot, NULL) == OTARU_BAD_ARGUMENT && otaru_boot_info_of(&boot, NULL) == OTARU_BAD_ARGUMENT);
    calls_back = 2;
    assert(otaru_boot_install(&boot, 50) == OTARU_OK);
    calls_back = 0;
    assert(otaru_boot_start(&boot, &start) == OTARU_OK && start == 1);
    assert(otaru_boot_info_of(&boot, &info) == OTARU_OK && info.state == OTARU_ON_TRIAL && info.spare == -1);
    assert(otaru_boot_install(&boot, 50) == OTARU_NOT_NOW && strstr(otaru_boot_error(&boot), "on trial") != NULL);
    assert(otaru_boot_give_up(&boot) == OTARU_OK && otaru_boot_info_of(&boot, &info) == OTARU_OK);
    assert(info.state == OTARU_ROLLED_BACK && info.running == 0 && strstr(info.text, "gave itself up") != NULL);
    assert(otaru_boot_acknowledge(&boot) == OTARU_OK);
    copy = boot;
    assert(otaru_boot_acknowledge(&copy) == OTARU_NO_DEVICE && strstr(otaru_boot_error(&copy), "moved") != NULL);

    memset(chip, 0xFF, sizeof chip);
    assert(otaru_boot_open_otadata(&boot, sizeof boot, &flash, otadata, 0, -1) == OTARU_BAD_ARGUMENT);
    assert(otaru_boot_open_otadata(&boot, sizeof boot, &flash, otadata, 2, 2) == OTARU_BAD_ARGUMENT);
    assert(otaru_boot_open_otadata(&boot, sizeof boot, &flash, otadata, 2, -1) == OTARU_OK);
    assert(otaru_boot_info_of(&boot, &info) == OTARU_OK && info.running == -1 && info.spare == 0);
    assert(otaru_boot_install(&boot, 50) == OTARU_OK && otaru_boot_start(&boot, &start) == OTARU_NOT_NOW);
    assert(chip[0] == 1 && chip[24] == 0 && chip[28] == 0x9A); /* ota_0, new, its checksum */
}

int main(void)
{
    before_and_without();
    bad_logins();
    bad_updates();
    at_the_wrong_time();
    garbage();
    own_client();
    boot_logs();
    puts("wrong use is refused");
    return 0;
}
