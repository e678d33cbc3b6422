// As much of Arduino for the ESP32 and of PubSubClient as the sketch uses, on a computer; MQTT is libmosquitto's.
#pragma once
#include <mosquitto.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <unistd.h>

#include "stand_in.h"

struct String : std::string {
  using std::string::string;
};

struct SerialPort {
  void begin(unsigned long) {}
  void println(const char *line) { puts(line); fflush(stdout); }
  template <typename... Values> void printf(const char *format, Values... values) {
    ::printf(format, values...);
    fflush(stdout);
  }
};
inline SerialPort Serial;

#define SET_LOOP_TASK_STACK_SIZE(bytes) static_assert((bytes) > 8192, "more than the core gives")

inline uint32_t millis() { return (uint32_t)(esp_timer_get_time() / 1000); }
inline void delay(uint32_t ms) { usleep(ms * 1000); }

enum { WL_CONNECTED = 3 };
struct WiFiPort {
  void begin(const char *, const char *) {}
  int status() { return WL_CONNECTED; }
};
inline WiFiPort WiFi;
struct WiFiClient {
  void setNoDelay(bool) {}
};

struct Preferences {
  bool begin(const char *, bool) { return true; }
  void end() {}
  String getString(const char *key) {
    std::string name = key;
    if (name == "host") return stand_in_words.host;
    if (name == "product_key") return stand_in_words.product_key;
    if (name == "device_name") return stand_in_words.device_name;
    return name == "secret" ? stand_in_words.secret : "";
  }
  uint16_t getUShort(const char *, uint16_t) { return (uint16_t)atoi(stand_in_words.port); }
};

// Synchronous, QoS 0 to send, and what does not fit into the buffer is dropped without a word.
class PubSubClient {
 public:
  explicit PubSubClient(WiFiClient &) { mosquitto_lib_init(); }
  void setServer(const char *host, uint16_t port) { host_ = host; port_ = port; }
  bool setBufferSize(uint16_t size) { buffer_ = size; return true; }
  void setKeepAlive(uint16_t seconds) { keep_alive_ = seconds; }
  void setCallback(void (*callback)(char *, uint8_t *, unsigned int)) { callback_ = callback; }
  int state() { return state_; }
  bool connected() { return online_; }

  bool connect(const char *id, const char *user, const char *password) {
    if (mosquitto_ != nullptr) mosquitto_destroy(mosquitto_);
    mosquitto_ = mosquitto_new(id, true, this);
    mosquitto_int_option(mosquitto_, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_username_pw_set(mosquitto_, user, password);
    mosquitto_connect_callback_set(mosquitto_, [](struct mosquitto *, void *self, int code) {
      static_cast<PubSubClient *>(self)->state_ = code;
      static_cast<PubSubClient *>(self)->online_ = code == 0;
    });
    mosquitto_message_callback_set(mosquitto_, [](struct mosquitto *, void *self, const struct mosquitto_message *got) {
      static_cast<PubSubClient *>(self)->arrived(got);
    });
    state_ = -2;
    if (mosquitto_connect(mosquitto_, host_.c_str(), port_, keep_alive_) != MOSQ_ERR_SUCCESS) return false;
    while (state_ == -2 && mosquitto_loop(mosquitto_, 1000, 1) == MOSQ_ERR_SUCCESS) {
    }
    return online_;
  }

  bool loop() {
    if (online_ && mosquitto_loop(mosquitto_, 1, 1) != MOSQ_ERR_SUCCESS) online_ = false;
    return online_;
  }

  bool publish(const char *topic, const uint8_t *payload, unsigned int len, bool retained) {
    if (!online_ || strlen(topic) + len + 7 > buffer_) return false;
    return mosquitto_publish(mosquitto_, nullptr, topic, (int)len, payload, 0, retained) == MOSQ_ERR_SUCCESS;
  }

  void disconnect() {
    if (online_) {
      mosquitto_disconnect(mosquitto_);
      mosquitto_loop(mosquitto_, 10, 1);
    }
    online_ = false;
  }

 private:
  void arrived(const struct mosquitto_message *got) {
    if (strlen(got->topic) + got->payloadlen + 7 <= buffer_)
      callback_(got->topic, static_cast<uint8_t *>(got->payload), (unsigned)got->payloadlen);
  }

  struct mosquitto *mosquitto_ = nullptr;
  std::string host_;
  uint16_t port_ = 0, buffer_ = 256, keep_alive_ = 15;
  void (*callback_)(char *, uint8_t *, unsigned int) = nullptr;
  bool online_ = false;
  int state_ = -1;
};

void setup();
void loop();
