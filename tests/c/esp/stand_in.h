/* As much of ESP-IDF as the examples use, for a computer: a flash in a file, threads, and MQTT by libmosquitto. It is what
 * every header of ESP-IDF is here (tests/c/run.sh). */
#ifndef STAND_IN_H
#define STAND_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* esp_err.h, esp_log.h, esp_system.h, esp_timer.h, esp_app_desc.h */
typedef int esp_err_t;
#define ESP_OK 0
#define ESP_FAIL (-1)
#define ESP_ERR_NVS_NOT_FOUND 0x1102
#define ESP_ERR_OTA_VALIDATE_FAILED 0x1503
#define ESP_ERROR_CHECK(call) ((call) == ESP_OK ? (void)0 : abort())
const char *esp_err_to_name(esp_err_t error);
void stand_in_log(const char *tag, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define ESP_LOGE(tag, ...) stand_in_log(tag, __VA_ARGS__)
#define ESP_LOGW(tag, ...) stand_in_log(tag, __VA_ARGS__)
#define ESP_LOGI(tag, ...) stand_in_log(tag, __VA_ARGS__)
void esp_restart(void) __attribute__((noreturn));
int64_t esp_timer_get_time(void);
typedef struct { char version[32]; } esp_app_desc_t;
const esp_app_desc_t *esp_app_get_description(void);

/* esp_partition.h, esp_ota_ops.h */
typedef enum { ESP_PARTITION_TYPE_APP = 0, ESP_PARTITION_TYPE_DATA = 1 } esp_partition_type_t;
typedef enum {
    ESP_PARTITION_SUBTYPE_APP_FACTORY = 0,
    ESP_PARTITION_SUBTYPE_APP_OTA_MIN = 0x10,
    ESP_PARTITION_SUBTYPE_DATA_OTA = 0,
    ESP_PARTITION_SUBTYPE_ANY = 0xFF
} esp_partition_subtype_t;
typedef struct {
    esp_partition_type_t type;
    esp_partition_subtype_t subtype;
    uint32_t address, size;
    char label[17];
} esp_partition_t;
const esp_partition_t *esp_partition_find_first(esp_partition_type_t type, esp_partition_subtype_t subtype, const char *label);
esp_err_t esp_partition_read(const esp_partition_t *partition, size_t offset, void *bytes, size_t len);
esp_err_t esp_partition_write(const esp_partition_t *partition, size_t offset, const void *bytes, size_t len);
esp_err_t esp_partition_erase_range(const esp_partition_t *partition, size_t offset, size_t len);
typedef enum { ESP_OTA_IMG_NEW, ESP_OTA_IMG_PENDING_VERIFY, ESP_OTA_IMG_VALID } esp_ota_img_states_t;
const esp_partition_t *esp_ota_get_running_partition(void);
const esp_partition_t *esp_ota_get_next_update_partition(const esp_partition_t *from);
uint8_t esp_ota_get_app_partition_count(void);
esp_err_t esp_ota_get_state_partition(const esp_partition_t *partition, esp_ota_img_states_t *state);
esp_err_t esp_ota_mark_app_valid_cancel_rollback(void);
esp_err_t esp_ota_set_boot_partition(const esp_partition_t *partition);

/* freertos/ */
typedef struct stand_in_lock *SemaphoreHandle_t;
typedef void *TaskHandle_t;
#define portMAX_DELAY 0xFFFFFFFFu
#define pdTRUE 1
#define pdMS_TO_TICKS(ms) ((uint32_t)(ms))
SemaphoreHandle_t xSemaphoreCreateMutex(void);
void xSemaphoreTake(SemaphoreHandle_t lock, uint32_t ticks);
void xSemaphoreGive(SemaphoreHandle_t lock);
TaskHandle_t xTaskGetCurrentTaskHandle(void);
void xTaskNotifyGive(TaskHandle_t task);
uint32_t ulTaskNotifyTake(int clear, uint32_t ticks);

/* esp_event.h, mqtt_client.h */
typedef const char *esp_event_base_t;
#define ESP_EVENT_ANY_ID (-1)
typedef void (*esp_event_handler_t)(void *context, esp_event_base_t base, int32_t id, void *data);
typedef enum {
    MQTT_EVENT_ANY = -1,
    MQTT_EVENT_CONNECTED = 1,
    MQTT_EVENT_DISCONNECTED = 2,
    MQTT_EVENT_PUBLISHED = 5,
    MQTT_EVENT_DATA = 6
} esp_mqtt_event_id_t;
typedef struct stand_in_mqtt *esp_mqtt_client_handle_t;
typedef struct {
    char *data, *topic;
    int msg_id, data_len, total_data_len, current_data_offset, topic_len;
} esp_mqtt_event_t;
typedef struct {
    struct {
        struct { const char *uri; } address;
        struct { const char *certificate; } verification;
    } broker;
    struct {
        const char *username, *client_id;
        struct { const char *password; } authentication;
    } credentials;
    struct { int keepalive; } session;
    struct { int stack_size; } task;
    struct { int size, out_size; } buffer;
} esp_mqtt_client_config_t;
esp_mqtt_client_handle_t esp_mqtt_client_init(const esp_mqtt_client_config_t *config);
esp_err_t esp_mqtt_client_register_event(esp_mqtt_client_handle_t client, esp_mqtt_event_id_t event,
                                         esp_event_handler_t handler, void *context);
esp_err_t esp_mqtt_client_start(esp_mqtt_client_handle_t client);
esp_err_t esp_mqtt_client_stop(esp_mqtt_client_handle_t client);
esp_err_t esp_mqtt_client_disconnect(esp_mqtt_client_handle_t client);
int esp_mqtt_client_publish(esp_mqtt_client_handle_t client, const char *topic, const char *data, int len, int qos, int retain);

/* nvs.h, nvs_flash.h, esp_netif.h, esp_wifi.h: only to be compiled */
typedef uint32_t nvs_handle_t;
enum { NVS_READONLY, WIFI_MODE_STA, WIFI_IF_STA, WIFI_EVENT_STA_START, WIFI_EVENT_STA_DISCONNECTED };
esp_err_t nvs_flash_init(void);
esp_err_t nvs_open(const char *name, int mode, nvs_handle_t *nvs);
esp_err_t nvs_get_str(nvs_handle_t nvs, const char *key, char *text, size_t *size);
void nvs_close(nvs_handle_t nvs);
typedef struct { int any; } wifi_init_config_t;
#define WIFI_INIT_CONFIG_DEFAULT() {0}
typedef union { struct { uint8_t ssid[32], password[64]; } sta; } wifi_config_t;
extern esp_event_base_t WIFI_EVENT;
esp_err_t esp_netif_init(void);
void *esp_netif_create_default_wifi_sta(void);
esp_err_t esp_event_loop_create_default(void);
esp_err_t esp_event_handler_register(esp_event_base_t base, int32_t id, esp_event_handler_t handler, void *context);
esp_err_t esp_wifi_init(const wifi_init_config_t *config);
esp_err_t esp_wifi_set_mode(int mode);
esp_err_t esp_wifi_set_config(int interface, wifi_config_t *config);
esp_err_t esp_wifi_start(void);
esp_err_t esp_wifi_connect(void);

/* What the examples' main programs on a computer call. */
void stand_in_power_on(int count, char **words);
extern struct stand_in_words { const char *host, *port, *product_key, *device_name, *secret; } stand_in_words;

#ifdef __cplusplus
}
#endif
#endif
