/* esp-mqtt, by libmosquitto. As in esp-mqtt one lock is held while its task calls the application and while the application
 * publishes, and what is longer than the buffer comes in several events, of which only the first has a topic. */
#define _GNU_SOURCE
#include <mosquitto.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "stand_in.h"

struct stand_in_mqtt {
    struct mosquitto *mosquitto;
    esp_event_handler_t handler;
    void *context;
    int buffer;
};

static struct stand_in_mqtt the_client;
static bool acknowledged[1 << 16]; /* messages of QoS 1: esp-mqtt tells of no others */
static pthread_mutex_t api = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static void post(esp_mqtt_event_id_t id, esp_mqtt_event_t *event)
{
    pthread_mutex_lock(&api);
    the_client.handler(the_client.context, "MQTT_EVENTS", id, event);
    pthread_mutex_unlock(&api);
}

static void on_connect(struct mosquitto *mosquitto, void *context, int code)
{
    esp_mqtt_event_t event = {0};
    (void)mosquitto, (void)context;
    if (code == 0)
        post(MQTT_EVENT_CONNECTED, &event);
}

static void on_disconnect(struct mosquitto *mosquitto, void *context, int code)
{
    esp_mqtt_event_t event = {0};
    (void)mosquitto, (void)context, (void)code;
    post(MQTT_EVENT_DISCONNECTED, &event);
}

static void on_publish(struct mosquitto *mosquitto, void *context, int id)
{
    esp_mqtt_event_t event = {0};
    (void)mosquitto, (void)context;
    event.msg_id = id;
    pthread_mutex_lock(&api);
    if (acknowledged[id])
        post(MQTT_EVENT_PUBLISHED, &event);
    pthread_mutex_unlock(&api);
}

static void on_message(struct mosquitto *mosquitto, void *context, const struct mosquitto_message *message)
{
    int room = the_client.buffer - (int)strlen(message->topic) - 8, offset = 0;
    (void)mosquitto, (void)context;
    do {
        esp_mqtt_event_t event = {0};
        event.data = (char *)message->payload + offset;
        event.data_len = message->payloadlen - offset < room ? message->payloadlen - offset : room;
        event.total_data_len = message->payloadlen;
        event.current_data_offset = offset;
        event.topic = offset == 0 ? message->topic : NULL;
        event.topic_len = offset == 0 ? (int)strlen(message->topic) : 0;
        post(MQTT_EVENT_DATA, &event);
        offset += event.data_len;
        room = the_client.buffer;
    } while (offset < message->payloadlen);
}

esp_mqtt_client_handle_t esp_mqtt_client_init(const esp_mqtt_client_config_t *config)
{
    mosquitto_lib_init();
    the_client.buffer = config->buffer.size;
    the_client.mosquitto = mosquitto_new(config->credentials.client_id, true, NULL);
    mosquitto_int_option(the_client.mosquitto, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_username_pw_set(the_client.mosquitto, config->credentials.username,
                              config->credentials.authentication.password);
    mosquitto_connect_callback_set(the_client.mosquitto, on_connect);
    mosquitto_disconnect_callback_set(the_client.mosquitto, on_disconnect);
    mosquitto_publish_callback_set(the_client.mosquitto, on_publish);
    mosquitto_message_callback_set(the_client.mosquitto, on_message);
    return &the_client;
}

esp_err_t esp_mqtt_client_register_event(esp_mqtt_client_handle_t client, esp_mqtt_event_id_t event,
                                         esp_event_handler_t handler, void *context)
{
    (void)event;
    client->handler = handler;
    client->context = context;
    return ESP_OK;
}

esp_err_t esp_mqtt_client_start(esp_mqtt_client_handle_t client)
{
    mosquitto_connect(client->mosquitto, stand_in_words.host, atoi(stand_in_words.port), 60);
    return mosquitto_loop_start(client->mosquitto) == MOSQ_ERR_SUCCESS ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_mqtt_client_stop(esp_mqtt_client_handle_t client)
{
    mosquitto_disconnect(client->mosquitto);
    mosquitto_loop_stop(client->mosquitto, false);
    return ESP_OK;
}

/* As in esp-mqtt another connection follows by itself. */
esp_err_t esp_mqtt_client_disconnect(esp_mqtt_client_handle_t client)
{
    mosquitto_disconnect(client->mosquitto);
    return mosquitto_reconnect_async(client->mosquitto) == MOSQ_ERR_SUCCESS ? ESP_OK : ESP_FAIL;
}

int esp_mqtt_client_publish(esp_mqtt_client_handle_t client, const char *topic, const char *data, int len, int qos, int retain)
{
    int id = 0, result;
    pthread_mutex_lock(&api);
    result = mosquitto_publish(client->mosquitto, &id, topic, len, data, qos, retain);
    acknowledged[id] = qos > 0;
    pthread_mutex_unlock(&api);
    return result == MOSQ_ERR_SUCCESS ? id : -1;
}
