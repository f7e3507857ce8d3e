#include "load.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *buffer_reserve(struct buffer *buffer, size_t count) {
    if (buffer->start == buffer->end) buffer->start = buffer->end = 0;
    if (buffer->end + count > buffer->room && buffer->start > 0) {
        memmove(buffer->bytes, buffer_first(buffer), buffer_count(buffer));
        buffer->end -= buffer->start;
        buffer->start = 0;
    }
    if (buffer->end + count > buffer->room) {
        buffer->room = (buffer->end + count) * 2;
        buffer->bytes = realloc(buffer->bytes, buffer->room);
        if (!buffer->bytes) fail("no memory");
    }
    return buffer->bytes + buffer->end;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t count) {
    memcpy(buffer_reserve(buffer, count), bytes, count);
    buffer->end += count;
}

void buffer_print(struct buffer *buffer, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (count < 0 || (size_t)count >= sizeof text) fail("a request's line is too long");
    buffer_append(buffer, text, (size_t)count);
}

void buffer_clear(struct buffer *buffer) { buffer->start = buffer->end = 0; }

void buffer_free(struct buffer *buffer) {
    free(buffer->bytes);
    memset(buffer, 0, sizeof *buffer);
}

void buffer_number(struct buffer *buffer, uint64_t number, int bytes) {
    char *place = buffer_reserve(buffer, (size_t)bytes);
    for (int index = 0; index < bytes; index++) place[index] = (char)(number >> (8 * (bytes - 1 - index)));
    buffer->end += (size_t)bytes;
}

uint64_t number_at(const char *bytes, int count) {
    uint64_t number = 0;
    for (int index = 0; index < count; index++) number = number << 8 | (unsigned char)bytes[index];
    return number;
}
