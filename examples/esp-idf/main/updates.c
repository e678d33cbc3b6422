// Updates over esp-mqtt.
//
// Messages are handled in esp-mqtt's task, and everything else in the caller's. What both touch is behind a lock; while it
// is held nothing of esp-mqtt is called, as that has a lock of its own, which its task holds while it calls us.
#include "updates.h"

#include "esp_app_desc.h"
#include "esp_log.h"
#include "esp_system.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"
#include "freertos/task.h"
#include "mqtt_client.h"
#include "otaru.h"
#include "otaru_esp.h"

#define BLOCK 4096
#define LONGEST_WAIT_MS 60000

static const char *TAG = "updates";

static struct {
    otaru_device device;
    otaru_esp esp;
    uint8_t buffer[BLOCK + 512]; // where a message is put together that comes in several events
    SemaphoreHandle_t lock;
    TaskHandle_t task;
    esp_mqtt_client_handle_t client;
    bool on_trial, online, begun, without;
    int awaited, heard; // message that is to be acknowledged; that was, last
} self;

static uint64_t now(void)
{
    return (uint64_t)(esp_timer_get_time() / 1000);
}

static void check(const char *what, otaru_result result)
{
    if (result != OTARU_OK)
        ESP_LOGE(TAG, "%s: %s", what, otaru_error(&self.device));
}

static void on_event(void *context, esp_event_base_t base, int32_t id, void *data)
{
    const esp_mqtt_event_t *event = data;
    (void)context, (void)base;
    xSemaphoreTake(self.lock, portMAX_DELAY);
    switch ((esp_mqtt_event_id_t)id) {
    case MQTT_EVENT_CONNECTED:
        self.online = true;
        self.awaited = 0; // all is said again
        if (self.begun)
            check("connected", otaru_connected(&self.device));
        break;
    case MQTT_EVENT_DISCONNECTED:
        self.online = false;
        check("disconnected", otaru_disconnected(&self.device));
        break;
    case MQTT_EVENT_PUBLISHED:
        // May be for a message of an earlier connection, which esp-mqtt sends again.
        self.heard = event->msg_id;
        if (self.heard == self.awaited)
            self.awaited = 0;
        break;
    case MQTT_EVENT_DATA: // only the first event of a long message is sure to have a topic
        check("message", otaru_message(&self.device, now(), event->topic, (size_t)event->topic_len,
                                       (size_t)event->total_data_len, (size_t)event->current_data_offset,
                                       (const uint8_t *)event->data, (size_t)event->data_len));
        break;
    default:
        break;
    }
    xSemaphoreGive(self.lock);
    xTaskNotifyGive(self.task);
}

// The platform took the login: this image works.
static void begin(void)
{
    const char *version = esp_app_get_description()->version;
    const char *error = otaru_esp_begin(&self.esp, &self.device, version, BLOCK);
    if (error != NULL) {
        ESP_LOGE(TAG, "no updates: %s", error);
        if (otaru_esp_is_on_trial())
            esp_restart(); // which leaves it
        self.on_trial = false;
        self.without = true;
        return;
    }
    self.on_trial = false;
    ESP_LOGI(TAG, "version %s takes updates", version);
    self.begun = true;
    check("connected", otaru_connected(&self.device));
}

static void tell(const otaru_todo *todo)
{
    if (todo->event == OTARU_STARTED)
        ESP_LOGI(TAG, "update to %s: %u bytes, from %u", todo->version, (unsigned)todo->size, (unsigned)todo->offset);
    else if (todo->event == OTARU_UPDATE_FAILED || todo->event == OTARU_REFUSED)
        ESP_LOGW(TAG, "failed: %s", todo->text);
}

// The next thing that is for this task to do, under the lock.
static otaru_todo next(void)
{
    otaru_todo todo = {.kind = OTARU_WAIT, .until = UINT64_MAX};
    xSemaphoreTake(self.lock, portMAX_DELAY);
    if (self.online && !self.begun && !self.without)
        begin();
    if (self.on_trial && now() >= OTARU_ESP_TRIAL) {
        ESP_LOGE(TAG, "this image is on trial and did not log in: it is left");
        esp_restart();
    }
    check("poll", otaru_poll(&self.device, now(), &todo));
    if (todo.kind == OTARU_INSTALL)
        otaru_esp_install(&self.esp, &self.device);
    if (todo.kind == OTARU_WAIT && self.begun && self.online && self.awaited == 0) {
        check("settled", otaru_settled(&self.device));
        otaru_esp_heard(&self.esp);
    }
    xSemaphoreGive(self.lock);
    return todo;
}

// What is to be published stays where it is until the next poll, which is this task's too.
static void publish(const otaru_todo *todo)
{
    int qos = todo->acknowledged ? 1 : 0;
    int id = esp_mqtt_client_publish(self.client, todo->topic, (const char *)todo->data, (int)todo->len, qos, 0);
    if (id < 0) {
        ESP_LOGW(TAG, "a message could not be sent");
        esp_mqtt_client_disconnect(self.client); // on the next connection, which esp-mqtt makes, all is said again
    } else if (todo->acknowledged) {
        xSemaphoreTake(self.lock, portMAX_DELAY);
        if (id != self.heard) // the answer may have been quick
            self.awaited = id;
        xSemaphoreGive(self.lock);
    }
}

static void wait(uint64_t until)
{
    uint64_t time = now(), ms = until > time ? until - time : 0;
    if (ms > LONGEST_WAIT_MS)
        ms = LONGEST_WAIT_MS;
    // At least a tick, so that tasks of less priority get their turn when there is more to do at once.
    ulTaskNotifyTake(pdTRUE, pdMS_TO_TICKS(ms) > 0 ? pdMS_TO_TICKS(ms) : 1);
}

static void start(const updates_settings *settings)
{
    otaru_login login = {.product_key = settings->product_key, .device_name = settings->device_name,
                         .device_secret = settings->device_secret, .buffer = self.buffer,
                         .buffer_size = sizeof self.buffer};
    static otaru_credentials credentials;
    if (otaru_credentials_of(&login, &credentials) != OTARU_OK)
        ESP_LOGE(TAG, "product key, device name or secret cannot be right");
    login.device_secret = NULL; // esp-mqtt logs in
    check("init", otaru_init(&self.device, sizeof self.device, &login));
    esp_mqtt_client_config_t config = {
        .broker.address.uri = settings->uri,
        .broker.verification.certificate = settings->ca[0] ? settings->ca : NULL,
        .credentials.client_id = credentials.client_id,
        .credentials.username = credentials.username,
        .credentials.authentication.password = credentials.password,
        .session.keepalive = 60,
        .task.stack_size = 12288, // offers are taken and blocks written to the flash in this task
        .buffer.size = 2048,
        .buffer.out_size = 1024,
    };
    self.client = esp_mqtt_client_init(&config);
    esp_mqtt_client_register_event(self.client, MQTT_EVENT_ANY, on_event, NULL);
    esp_mqtt_client_start(self.client);
}

void updates_run(const updates_settings *settings)
{
    self.lock = xSemaphoreCreateMutex();
    self.task = xTaskGetCurrentTaskHandle();
    self.on_trial = otaru_esp_is_on_trial();
    start(settings);
    for (;;) {
        otaru_todo todo = next();
        switch (todo.kind) {
        case OTARU_PUBLISH: publish(&todo); break;
        case OTARU_HAPPENED: tell(&todo); break;
        case OTARU_WAIT: wait(todo.until); break;
        case OTARU_REBOOT:
            esp_mqtt_client_stop(self.client);
            esp_restart();
        default: break;
        }
    }
}
