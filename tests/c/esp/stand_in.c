/* The flash, the bootloader, the clock and the tasks of an ESP32, on a computer. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "otaru.h"
#include "stand_in.h"

#define SECTOR 4096u

static const esp_partition_t table[] = {
    {ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_DATA_OTA, 0x0, 2 * SECTOR, "otadata"},
    {ESP_PARTITION_TYPE_DATA, (esp_partition_subtype_t)0x40, 0x2000, 2 * SECTOR, "journal"},
    {ESP_PARTITION_TYPE_APP, ESP_PARTITION_SUBTYPE_APP_OTA_MIN, 0x4000, 0x100000, "ota_0"},
    {ESP_PARTITION_TYPE_APP, (esp_partition_subtype_t)(ESP_PARTITION_SUBTYPE_APP_OTA_MIN + 1), 0x104000, 0x100000, "ota_1"},
};
#define FLASH 0x204000u

struct stand_in_words stand_in_words;
static int file;
static long left = -1; /* writes and erases until the power goes; -1: it does not */
static int running;    /* index of the ota_ partition */
static esp_app_desc_t description;
static char **arguments;
static int64_t started; /* what the clock counts from, in microseconds */

/* ---- flash */

static bool last_operation(void)
{
    return left > 0 && --left == 0;
}

static bool outside(const esp_partition_t *partition, size_t offset, size_t len)
{
    return offset > partition->size || len > partition->size - offset;
}

esp_err_t esp_partition_read(const esp_partition_t *partition, size_t offset, void *bytes, size_t len)
{
    if (outside(partition, offset, len))
        return ESP_FAIL;
    return pread(file, bytes, len, (off_t)(partition->address + offset)) == (ssize_t)len ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_partition_write(const esp_partition_t *partition, size_t offset, const void *bytes, size_t len)
{
    uint8_t before[SECTOR];
    bool cut = last_operation();
    if (len > sizeof before || esp_partition_read(partition, offset, before, len) != ESP_OK)
        return ESP_FAIL;
    for (size_t at = 0; at < len; at++)
        if ((before[at] & ((const uint8_t *)bytes)[at]) != ((const uint8_t *)bytes)[at])
            return ESP_FAIL; /* a bit that is 0 does not become 1 */
    if (cut)
        len /= 2;
    if (pwrite(file, bytes, len, (off_t)(partition->address + offset)) != (ssize_t)len)
        return ESP_FAIL;
    return cut ? raise(SIGKILL) : ESP_OK;
}

esp_err_t esp_partition_erase_range(const esp_partition_t *partition, size_t offset, size_t len)
{
    uint8_t blank[SECTOR];
    bool cut = last_operation();
    memset(blank, 0xFF, sizeof blank);
    if (outside(partition, offset, len) || offset % SECTOR || len % SECTOR)
        return ESP_FAIL;
    for (; len > 0; offset += SECTOR, len -= SECTOR) {
        size_t now = cut ? SECTOR / 2 : SECTOR;
        if (pwrite(file, blank, now, (off_t)(partition->address + offset)) != (ssize_t)now)
            return ESP_FAIL;
        if (cut)
            raise(SIGKILL);
    }
    return ESP_OK;
}

const esp_partition_t *esp_partition_find_first(esp_partition_type_t type, esp_partition_subtype_t subtype, const char *label)
{
    for (size_t at = 0; at < sizeof table / sizeof *table; at++)
        if (table[at].type == type && (subtype == ESP_PARTITION_SUBTYPE_ANY || table[at].subtype == subtype) &&
            (label == NULL || strcmp(table[at].label, label) == 0))
            return &table[at];
    return NULL;
}

static const esp_partition_t *slot(int index)
{
    return &table[2 + index];
}

/* ---- which image starts: Espressif's bootloader with rollback, and esp_ota_ops */

enum { NEW, PENDING_VERIFY, VALID, INVALID, ABORTED };
struct entry { uint32_t sequence; uint8_t label[20]; uint32_t state, crc; };

static uint32_t crc_of(uint32_t sequence)
{
    uint32_t crc = 0;
    for (int byte = 0; byte < 4; byte++) {
        crc ^= sequence >> 8 * byte & 0xFF;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

/* The entry that counts; -1: there is none. */
static int newest(struct entry *entries)
{
    int found = -1;
    for (int at = 0; at < 2; at++) {
        struct entry *entry = &entries[at];
        esp_partition_read(&table[0], (size_t)at * SECTOR, entry, sizeof *entry);
        if (entry->sequence == 0 || entry->sequence == UINT32_MAX || entry->crc != crc_of(entry->sequence) ||
            entry->state == INVALID || entry->state == ABORTED)
            continue;
        if (found < 0 || entry->sequence > entries[found].sequence)
            found = at;
    }
    return found;
}

static void rewrite(int at, struct entry entry, uint32_t state)
{
    entry.state = state;
    esp_partition_erase_range(&table[0], (size_t)at * SECTOR, SECTOR);
    esp_partition_write(&table[0], (size_t)at * SECTOR, &entry, sizeof entry);
}

static void choose(void)
{
    struct entry entries[2];
    int at = newest(entries);
    if (at >= 0 && entries[at].state == PENDING_VERIFY) {
        rewrite(at, entries[at], ABORTED);
        at = newest(entries);
    }
    if (at >= 0 && entries[at].state == NEW)
        rewrite(at, entries[at], PENDING_VERIFY);
    running = at < 0 ? 0 : (int)((entries[at].sequence - 1) % 2);
}

static int32_t otadata_read(void *context, uint32_t offset, uint8_t *bytes, size_t len)
{
    return esp_partition_read((const esp_partition_t *)context, offset, bytes, len);
}

static int32_t otadata_write(void *context, uint32_t offset, const uint8_t *bytes, size_t len)
{
    return esp_partition_write((const esp_partition_t *)context, offset, bytes, len);
}

static int32_t otadata_erase(void *context, uint32_t offset, size_t len)
{
    return esp_partition_erase_range((const esp_partition_t *)context, offset, len);
}

static otaru_boot *otadata(void)
{
    static otaru_boot boot;
    otaru_flash flash = {(void *)&table[0], 2 * SECTOR, otadata_read, otadata_write, otadata_erase};
    otaru_region region = {0, 2 * SECTOR};
    return otaru_boot_open_otadata(&boot, sizeof boot, &flash, region, 2, running) == OTARU_OK ? &boot : NULL;
}

const esp_partition_t *esp_ota_get_running_partition(void)
{
    return slot(running);
}

const esp_partition_t *esp_ota_get_next_update_partition(const esp_partition_t *from)
{
    (void)from;
    return slot(1 - running);
}

uint8_t esp_ota_get_app_partition_count(void)
{
    return 2;
}

esp_err_t esp_ota_get_state_partition(const esp_partition_t *partition, esp_ota_img_states_t *state)
{
    struct entry entries[2];
    int at = newest(entries);
    if (at < 0 || slot((int)((entries[at].sequence - 1) % 2)) != partition)
        return ESP_FAIL;
    *state = (esp_ota_img_states_t)entries[at].state;
    return ESP_OK;
}

esp_err_t esp_ota_mark_app_valid_cancel_rollback(void)
{
    stand_in_log("boot", "confirmed %s", description.version);
    return otaru_boot_confirm(otadata()) == OTARU_OK ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_ota_set_boot_partition(const esp_partition_t *partition)
{
    uint8_t first;
    if (esp_partition_read(partition, 0, &first, 1) != ESP_OK || first != 0xE9)
        return ESP_ERR_OTA_VALIDATE_FAILED;
    return otaru_boot_install(otadata(), partition->size) == OTARU_OK ? ESP_OK : ESP_FAIL;
}

const char *esp_err_to_name(esp_err_t error)
{
    return error == ESP_ERR_OTA_VALIDATE_FAILED ? "ESP_ERR_OTA_VALIDATE_FAILED" : "ESP_FAIL";
}

/* ---- clock, log, tasks */

int64_t esp_timer_get_time(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000 - started;
}

void stand_in_log(const char *tag, const char *format, ...)
{
    char line[400];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);
    printf("%s: %s\n", tag, line);
    fflush(stdout);
}

const esp_app_desc_t *esp_app_get_description(void)
{
    return &description;
}

struct stand_in_lock { pthread_mutex_t mutex; };
static struct stand_in_lock the_lock = {PTHREAD_MUTEX_INITIALIZER};
static pthread_mutex_t notice = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t noticed = PTHREAD_COND_INITIALIZER;
static uint32_t notices;

SemaphoreHandle_t xSemaphoreCreateMutex(void) { return &the_lock; }

void xSemaphoreTake(SemaphoreHandle_t lock, uint32_t ticks)
{
    (void)ticks;
    pthread_mutex_lock(&lock->mutex);
}

void xSemaphoreGive(SemaphoreHandle_t lock) { pthread_mutex_unlock(&lock->mutex); }

TaskHandle_t xTaskGetCurrentTaskHandle(void) { return &notices; }

void xTaskNotifyGive(TaskHandle_t task)
{
    (void)task;
    pthread_mutex_lock(&notice);
    notices++;
    pthread_cond_signal(&noticed);
    pthread_mutex_unlock(&notice);
}

uint32_t ulTaskNotifyTake(int clear, uint32_t ticks)
{
    struct timespec until;
    uint32_t found;
    (void)clear;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ticks / 1000;
    until.tv_nsec += (long)(ticks % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&notice);
    while (notices == 0 && pthread_cond_timedwait(&noticed, &notice, &until) == 0) {
    }
    found = notices;
    notices = 0;
    pthread_mutex_unlock(&notice);
    return found;
}

/* ---- power */

static void end(int number)
{
    (void)number;
    _exit(0);
}

static void provision(const char *image)
{
    static uint8_t bytes[FLASH];
    FILE *from = fopen(image, "rb");
    memset(bytes, 0xFF, sizeof bytes);
    if (from == NULL || fread(bytes + table[2].address, 1, table[2].size, from) == 0 ||
        pwrite(file, bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        abort();
    exit(0);
}

void esp_restart(void)
{
    if (left > 0)
        snprintf(arguments[7], strlen(arguments[7]) + 1, "%ld", left);
    execv("/proc/self/exe", arguments);
    abort();
}

/* usage: PROGRAM FLASH provision IMAGE | PROGRAM FLASH run PORT PRODUCT_KEY DEVICE_NAME SECRET [OPERATIONS] */
void stand_in_power_on(int count, char **words)
{
    char head[65] = {0};
    arguments = words;
    if (count < 4 || (file = open(words[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
        abort();
    if (strcmp(words[2], "provision") == 0)
        provision(words[3]);
    if (count < 7)
        abort();
    stand_in_words = (struct stand_in_words){"127.0.0.1", words[3], words[4], words[5], words[6]};
    left = count > 7 ? atol(words[7]) : -1;
    signal(SIGTERM, end);
    started = esp_timer_get_time();
    choose();
    esp_partition_read(slot(running), 1, head, sizeof head - 1);
    printf("start of slot %d: %.*s\n", running, (int)strcspn(head, "\n"), head);
    fflush(stdout);
    if (sscanf(head, "deaf %31s", description.version) == 1) { /* cannot log in, and has tried for long */
        stand_in_words.secret = "another";
        started -= 600 * 1000000ll;
    } else if (sscanf(head, "works %31s", description.version) != 1) {
        esp_restart();
    }
}
