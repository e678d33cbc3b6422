#ifndef UPDATES_H
#define UPDATES_H

// What one device is told by whoever made it, and no image brings along.
typedef struct {
    char uri[128]; // mqtt://host:1883 or mqtts://host:1883
    char product_key[24], device_name[36], device_secret[68];
    char ca[2048]; // PEM, for mqtts://; else empty
} updates_settings;

// Keeps the device up to date. Does not return; all of it stays in this task and in that of esp-mqtt.
void updates_run(const updates_settings *settings);

#endif
