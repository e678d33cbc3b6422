// The sketch of examples/arduino on a computer.
#include "arduino.h"

int main(int count, char **words) {
  stand_in_power_on(count, words);
  setup();
  for (;;) loop();
}
