// The slots of an ESP32 for otaru.h, with the partitions and the bootloader of ESP-IDF; Arduino has the same beneath it.
//
// The partition table needs two ota_ partitions, otadata, and a data partition called "journal" of two sectors or more.
// The bootloader must be built with CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE; the one that comes with Arduino is.
#ifndef OTARU_ESP_H
#define OTARU_ESP_H

#include "esp_partition.h"
#include "otaru.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const esp_partition_t *slot, *journal, *otadata;
    otaru_boot boot;
    bool is_back; // after a roll back of which the platform has not heard
} otaru_esp;

// An image on trial that has not logged in so many milliseconds after its start has to start again, which leaves it.
#define OTARU_ESP_TRIAL 300000

// Whether the running image is on trial: left at the next start, unless otaru_esp_begin confirms it.
bool otaru_esp_is_on_trial(void);

// The running image logged in: confirms it if it is on trial and updates can begin, and begins them into the other slot. Why
// it cannot is told in words, else it is NULL. `version` is what the image calls itself; it stays where it is, like `esp`.
const char *otaru_esp_begin(otaru_esp *esp, otaru_device *device, const char *version, uint32_t block);

// Does what OTARU_INSTALL wants: has ESP-IDF check the image, and start it next, on trial.
void otaru_esp_install(otaru_esp *esp, otaru_device *device);

// The platform has acknowledged all that was said.
void otaru_esp_heard(otaru_esp *esp);

#ifdef __cplusplus
}
#endif
#endif
