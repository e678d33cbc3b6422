/* The protocol part of examples/esp-idf on a computer. */
#include <stdio.h>

#include "stand_in.h"
#include "updates.h"

int main(int count, char **words)
{
    static updates_settings settings;
    stand_in_power_on(count, words);
    snprintf(settings.uri, sizeof settings.uri, "mqtt://%s:%s", stand_in_words.host, stand_in_words.port);
    snprintf(settings.product_key, sizeof settings.product_key, "%s", stand_in_words.product_key);
    snprintf(settings.device_name, sizeof settings.device_name, "%s", stand_in_words.device_name);
    snprintf(settings.device_secret, sizeof settings.device_secret, "%s", stand_in_words.secret);
    updates_run(&settings);
    return 0;
}
