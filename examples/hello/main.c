// One page over wasi:http: "GREETING from TOMBOLO_NODE". Both are environment
// variables: the intent gives the first, the provider sets the second, so the
// page says who runs it. Every request leaves one line in the workload's log.

#include <stdio.h>
#include <string.h>

#include "hello.h"

enum { TEXT_MAX = 512 };

// Copies the variable `name` into `out`, or `otherwise` where it is not set.
static void variable(const char *name, const char *otherwise, char out[TEXT_MAX]) {
  snprintf(out, TEXT_MAX, "%s", otherwise);
  hello_list_tuple2_string_string_t all;
  wasi_cli_environment_get_environment(&all);
  for (size_t i = 0; i < all.len; i++) {
    hello_string_t key = all.ptr[i].f0, value = all.ptr[i].f1;
    if (key.len == strlen(name) && memcmp(key.ptr, name, key.len) == 0)
      snprintf(out, TEXT_MAX, "%.*s", (int)value.len, (const char *)value.ptr);
  }
  hello_list_tuple2_string_string_free(&all);
}

static void log_request(wasi_http_types_borrow_incoming_request_t request) {
  hello_string_t path;
  if (!wasi_http_types_method_incoming_request_path_with_query(request, &path)) return;
  printf("served %.*s\n", (int)path.len, (const char *)path.ptr);
  fflush(stdout);
  hello_string_free(&path);
}

static wasi_http_types_own_outgoing_response_t plain_text(void) {
  wasi_http_types_own_fields_t headers = wasi_http_types_constructor_fields();
  hello_string_t name;
  hello_string_set(&name, "content-type");
  const char *type = "text/plain; charset=utf-8";
  wasi_http_types_field_value_t value = {(uint8_t *)type, strlen(type)};
  wasi_http_types_header_error_t refused;
  wasi_http_types_method_fields_append(wasi_http_types_borrow_fields(headers), &name, &value, &refused);
  return wasi_http_types_constructor_outgoing_response(headers);
}

void exports_wasi_http_incoming_handler_handle(exports_wasi_http_incoming_handler_own_incoming_request_t request,
                                               exports_wasi_http_incoming_handler_own_response_outparam_t response_out) {
  log_request(wasi_http_types_borrow_incoming_request(request));

  char greeting[TEXT_MAX], node[TEXT_MAX], page[2 * TEXT_MAX + 8];
  variable("GREETING", "hello", greeting);
  variable("TOMBOLO_NODE", "nobody", node);
  int length = snprintf(page, sizeof page, "%s from %s\n", greeting, node);

  wasi_http_types_own_outgoing_response_t response = plain_text();
  wasi_http_types_own_outgoing_body_t body;
  if (!wasi_http_types_method_outgoing_response_body(wasi_http_types_borrow_outgoing_response(response), &body)) __builtin_trap();
  wasi_http_types_result_own_outgoing_response_error_code_t answer = {.is_err = false, .val.ok = response};
  wasi_http_types_static_response_outparam_set(response_out, &answer);

  wasi_http_types_own_output_stream_t stream;
  if (!wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &stream)) __builtin_trap();
  hello_list_u8_t bytes = {(uint8_t *)page, (size_t)length};
  wasi_io_streams_stream_error_t broken;
  wasi_io_streams_method_output_stream_blocking_write_and_flush(wasi_io_streams_borrow_output_stream(stream), &bytes, &broken);
  wasi_io_streams_output_stream_drop_own(stream);

  wasi_http_types_error_code_t failed;
  wasi_http_types_static_outgoing_body_finish(body, NULL, &failed);
}
