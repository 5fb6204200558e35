// A command that runs to its end: says who runs it, with which arguments, counts
// a few steps, and exits with 0.

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);  // the log is followed live: each line leaves as it is printed
  const char *node = getenv("TOMBOLO_NODE");
  printf("batch on %s\n", node ? node : "nobody");
  for (int i = 1; i < argc; i++) printf("argument %d: %s\n", i, argv[i]);
  for (int step = 1; step <= 3; step++) printf("step %d of 3\n", step);
  fprintf(stderr, "done\n");
  return 0;
}
