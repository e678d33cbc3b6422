#include "otaru_esp.h"

#include "esp_ota_ops.h"

// One flash of three partitions: the slot, then the journal, then otadata.
static const esp_partition_t *locate(const otaru_esp *esp, uint32_t *offset)
{
    const esp_partition_t *all[] = {esp->slot, esp->journal, esp->otadata};
    size_t which = 0;
    while (which < 2 && *offset >= all[which]->size)
        *offset -= all[which++]->size;
    return all[which];
}

static int32_t flash_read(void *context, uint32_t offset, uint8_t *bytes, size_t len)
{
    const esp_partition_t *partition = locate((const otaru_esp *)context, &offset);
    return esp_partition_read(partition, offset, bytes, len);
}

static int32_t flash_write(void *context, uint32_t offset, const uint8_t *bytes, size_t len)
{
    const esp_partition_t *partition = locate((const otaru_esp *)context, &offset);
    return esp_partition_write(partition, offset, bytes, len);
}

static int32_t flash_erase(void *context, uint32_t offset, size_t len)
{
    const esp_partition_t *partition = locate((const otaru_esp *)context, &offset);
    return esp_partition_erase_range(partition, offset, len);
}

static const char *find(otaru_esp *esp)
{
    esp->slot = esp_ota_get_next_update_partition(NULL);
    esp->journal = esp_partition_find_first(ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_ANY, "journal");
    esp->otadata = esp_partition_find_first(ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_DATA_OTA, NULL);
    if (esp->slot == NULL || esp->otadata == NULL)
        return "the partition table has no second ota_ partition, or no otadata";
    if (esp->journal == NULL || esp->journal->size < 2 * OTARU_SECTOR)
        return "the partition table has no partition called journal of two sectors or more";
    return NULL;
}

bool otaru_esp_is_on_trial(void)
{
    esp_ota_img_states_t state;
    return esp_ota_get_state_partition(esp_ota_get_running_partition(), &state) == ESP_OK &&
           state == ESP_OTA_IMG_PENDING_VERIFY;
}

const char *otaru_esp_begin(otaru_esp *esp, otaru_device *device, const char *version, uint32_t block)
{
    const esp_partition_t *running = esp_ota_get_running_partition();
    const char *missing = find(esp);
    if (missing != NULL)
        return missing;
    otaru_flash flash = {esp, esp->slot->size + esp->journal->size + esp->otadata->size,
                         flash_read, flash_write, flash_erase};
    otaru_region journal = {esp->slot->size, esp->journal->size};
    otaru_region otadata = {journal.start + journal.len, esp->otadata->size};
    otaru_module module = {"default", version, {0, esp->slot->size}};
    otaru_updates updates = {&module, 1, flash, journal, block, 2, 0, 0, 0};
    otaru_boot_info info;
    esp_err_t error;
    int index = running->subtype - ESP_PARTITION_SUBTYPE_APP_OTA_MIN;
    // ESP-IDF remembers for ever that an image was given up; the platform is to hear of it once.
    if (otaru_boot_open_otadata(&esp->boot, sizeof esp->boot, &flash, otadata, esp_ota_get_app_partition_count(),
                                running->subtype == ESP_PARTITION_SUBTYPE_APP_FACTORY ? -1 : index) != OTARU_OK ||
        otaru_boot_info_of(&esp->boot, &info) != OTARU_OK)
        return otaru_boot_error(&esp->boot);
    // An image that cannot take updates is not one to keep; and otaru_begin may erase what is left in the other slot, which
    // must not be what the device falls back to.
    if (otaru_check(device, &updates) != OTARU_OK)
        return otaru_error(device);
    if (otaru_esp_is_on_trial() && (error = esp_ota_mark_app_valid_cancel_rollback()) != ESP_OK)
        return esp_err_to_name(error);
    if (otaru_begin(device, &updates) != OTARU_OK)
        return otaru_error(device);
    esp->is_back = info.state == OTARU_ROLLED_BACK;
    if (esp->is_back)
        otaru_rolled_back(device, "default", info.text);
    return NULL;
}

void otaru_esp_install(otaru_esp *esp, otaru_device *device)
{
    esp_err_t error = esp_ota_set_boot_partition(esp->slot);
    if (error != ESP_OK) {
        otaru_failed(device, esp_err_to_name(error));
        return;
    }
    esp->is_back = false; // the entry of the image given up is now that of this one
    otaru_done(device);
}

void otaru_esp_heard(otaru_esp *esp)
{
    if (esp->is_back)
        otaru_boot_acknowledge(&esp->boot);
    esp->is_back = false;
}
