/* A project of ESP-IDF needs an application. This one is never flashed. */
void app_main(void) {}
