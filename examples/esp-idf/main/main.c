// Wi-Fi, settings out of NVS, and then updates. A product has its own work to do beside; it does it in other tasks.
#include <stdlib.h>
#include <string.h>

#include "esp_event.h"
#include "esp_log.h"
#include "esp_netif.h"
#include "esp_wifi.h"
#include "nvs.h"
#include "nvs_flash.h"
#include "updates.h"

static updates_settings settings;

static void read_text(nvs_handle_t nvs, const char *key, char *text, size_t size, bool required)
{
    esp_err_t error = nvs_get_str(nvs, key, text, &size);
    if (error == ESP_ERR_NVS_NOT_FOUND && !required)
        text[0] = '\0';
    else if (error != ESP_OK)
        ESP_LOGE("settings", "%s in the NVS namespace otaru: %s", key, esp_err_to_name(error));
    if (error != ESP_OK && required)
        abort();
}

// Wi-Fi that is gone is looked for again, for ever; esp-mqtt does the same with its connection.
static void on_wifi(void *context, esp_event_base_t base, int32_t id, void *data)
{
    (void)context, (void)base, (void)data;
    if (id == WIFI_EVENT_STA_START || id == WIFI_EVENT_STA_DISCONNECTED)
        esp_wifi_connect();
}

static void start_wifi(nvs_handle_t nvs)
{
    wifi_init_config_t init = WIFI_INIT_CONFIG_DEFAULT();
    wifi_config_t wifi = {0};
    // With their zero, which the driver does without if there is no room for it.
    char ssid[sizeof wifi.sta.ssid + 1] = {0}, password[sizeof wifi.sta.password + 1] = {0};
    read_text(nvs, "ssid", ssid, sizeof ssid, true);
    read_text(nvs, "password", password, sizeof password, false);
    memcpy(wifi.sta.ssid, ssid, sizeof wifi.sta.ssid);
    memcpy(wifi.sta.password, password, sizeof wifi.sta.password);
    ESP_ERROR_CHECK(esp_netif_init());
    ESP_ERROR_CHECK(esp_event_loop_create_default());
    esp_netif_create_default_wifi_sta();
    ESP_ERROR_CHECK(esp_wifi_init(&init));
    ESP_ERROR_CHECK(esp_event_handler_register(WIFI_EVENT, ESP_EVENT_ANY_ID, on_wifi, NULL));
    ESP_ERROR_CHECK(esp_wifi_set_mode(WIFI_MODE_STA));
    ESP_ERROR_CHECK(esp_wifi_set_config(WIFI_IF_STA, &wifi));
    ESP_ERROR_CHECK(esp_wifi_start());
}

void app_main(void)
{
    nvs_handle_t nvs;
    ESP_ERROR_CHECK(nvs_flash_init());
    ESP_ERROR_CHECK(nvs_open("otaru", NVS_READONLY, &nvs));
    read_text(nvs, "uri", settings.uri, sizeof settings.uri, true);
    read_text(nvs, "product_key", settings.product_key, sizeof settings.product_key, true);
    read_text(nvs, "device_name", settings.device_name, sizeof settings.device_name, true);
    read_text(nvs, "secret", settings.device_secret, sizeof settings.device_secret, true);
    read_text(nvs, "ca", settings.ca, sizeof settings.ca, false);
    start_wifi(nvs);
    nvs_close(nvs);
    updates_run(&settings);
}
