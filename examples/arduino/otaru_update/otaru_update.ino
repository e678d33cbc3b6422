// Updates over PubSubClient: https://github.com/knolleary/pubsubclient, version 2.8 or later.
//
// One image is for all devices of a product, so who the device is comes out of its NVS, not out of this sketch:
// README.md says how it gets there.
#include <Arduino.h>
#include <Preferences.h>
#include <PubSubClient.h>
#include <WiFi.h>
#include <esp_system.h>
#include <esp_timer.h>

#include "otaru.h"
#include "otaru_esp.h"

#ifndef VERSION
#define VERSION "1.0.0"  // exactly as the package of this image is called on the platform
#endif

// PubSubClient drops what is longer than its buffer without a word, and a notice must fit too: a block and 512 bytes.
static const uint32_t BLOCK = 2048;
static const uint16_t BUFFER = BLOCK + 512;

// PubSubClient publishes with QoS 0 only, so nothing is acknowledged. A connection that is there this much later, in
// milliseconds, is taken for it.
static const uint32_t HEARD_AFTER = 2000;
static const uint32_t RECONNECT_AFTER = 5000;

static WiFiClient network;
static PubSubClient mqtt(network);
static otaru_device device;
static otaru_esp esp;
static otaru_credentials credentials;
static bool on_trial, begun, without, was_online;
static uint32_t published_at, tried_at;
static String host, product_key, device_name, secret;

// Offers are taken and blocks written in loop(); 8 KB, as the core has it, are too few.
SET_LOOP_TASK_STACK_SIZE(12 * 1024);

// The core asks this at the start, and takes every image for good unless it is told to wait.
extern "C" bool verifyRollbackLater() { return true; }

static void check(const char *what, otaru_result result) {
  if (result != OTARU_OK) Serial.printf("%s: %s\n", what, otaru_error(&device));
}

static uint64_t now() { return esp_timer_get_time() / 1000; }

static void on_message(char *topic, uint8_t *payload, unsigned int len) {
  check("message", otaru_message(&device, now(), topic, strlen(topic), len, 0, payload, len));
}

void setup() {
  Serial.begin(115200);
  Preferences settings;
  settings.begin("otaru", true);
  host = settings.getString("host");
  product_key = settings.getString("product_key");
  device_name = settings.getString("device_name");
  secret = settings.getString("secret");
  WiFi.begin(settings.getString("ssid").c_str(), settings.getString("password").c_str());
  mqtt.setServer(host.c_str(), settings.getUShort("port", 1883));
  settings.end();

  otaru_login login = {};
  login.product_key = product_key.c_str();
  login.device_name = device_name.c_str();
  login.device_secret = secret.c_str();
  if (otaru_credentials_of(&login, &credentials) != OTARU_OK) Serial.println("the settings in NVS are not complete");
  login.device_secret = nullptr;  // PubSubClient logs in
  check("init", otaru_init(&device, sizeof device, &login));
  if (!mqtt.setBufferSize(BUFFER)) Serial.println("no memory for a block: no update can come");
  mqtt.setKeepAlive(60);
  mqtt.setCallback(on_message);
  on_trial = otaru_esp_is_on_trial();
}

// The platform took the login: this image works.
static void begin() {
  const char *error = otaru_esp_begin(&esp, &device, VERSION, BLOCK);
  if (error != nullptr) {
    Serial.printf("no updates: %s\n", error);
    if (otaru_esp_is_on_trial()) esp_restart();  // which leaves it
    on_trial = false;
    without = true;
    return;
  }
  on_trial = false;
  begun = true;
}

static void connect() {
  if (WiFi.status() != WL_CONNECTED || (tried_at != 0 && millis() - tried_at < RECONNECT_AFTER)) return;
  tried_at = millis();
  if (!mqtt.connect(credentials.client_id, credentials.username, credentials.password)) {
    Serial.printf("no connection: %d\n", mqtt.state());
    return;
  }
  was_online = true;
  network.setNoDelay(true);  // a request for a block does not wait for the answer to the one before
  if (!begun && !without) begin();
  if (begun) check("connected", otaru_connected(&device));
}

static void publish(const otaru_todo &todo) {
  if (!mqtt.publish(todo.topic, todo.data, todo.len, false)) mqtt.disconnect();  // all is said again on the next
  published_at = millis();
}

static void tell(const otaru_todo &todo) {
  if (todo.event == OTARU_STARTED)
    Serial.printf("update to %s: %u bytes, from %u\n", todo.version, (unsigned)todo.size, (unsigned)todo.offset);
  else if (todo.event == OTARU_UPDATE_FAILED || todo.event == OTARU_REFUSED)
    Serial.printf("failed: %s\n", todo.text);
}

static void update() {
  otaru_todo todo;
  do {
    if (otaru_poll(&device, now(), &todo) != OTARU_OK) return;
    switch (todo.kind) {
      case OTARU_PUBLISH: publish(todo); break;
      case OTARU_HAPPENED: tell(todo); break;
      case OTARU_INSTALL: otaru_esp_install(&esp, &device); break;
      case OTARU_REBOOT: mqtt.disconnect(); esp_restart(); break;
      default: break;
    }
  } while (todo.kind != OTARU_WAIT);
  if (mqtt.connected() && millis() - published_at >= HEARD_AFTER) {
    check("settled", otaru_settled(&device));
    otaru_esp_heard(&esp);
  }
}

void loop() {
  if (!mqtt.loop()) {
    if (was_online) check("disconnected", otaru_disconnected(&device));
    was_online = false;
    connect();
  }
  if (begun) update();
  if (on_trial && now() >= OTARU_ESP_TRIAL) {
    Serial.println("this image is on trial and did not log in: it is left");
    esp_restart();
  }
  // The work of the product goes here; it must come back soon, as the connection is kept alive by loop().
  delay(1);
}
