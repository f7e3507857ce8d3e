// expat; the character sets that it does not know itself come from iconv.
#pragma once
#include <expat.h>
#include <iconv.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/// Part of expat since 2.6.0, and of distributions' older ones with the fix for CVE-2023-52425.
extern XML_Bool XML_SetReparseDeferralEnabled(XML_Parser parser, XML_Bool enabled) __attribute__((weak));

/// Has expat report what is complete at once. Else it may keep a finished stanza back until more has come, because
/// to look again at an unfinished token at each byte takes quadratic time: who calls this bounds its tokens.
static inline void cexpat_report_at_once(XML_Parser parser) {
    if (XML_SetReparseDeferralEnabled) { XML_SetReparseDeferralEnabled(parser, XML_FALSE); }
}

/// The one character that `count` bytes stand for; -1 when they are no character, or more than one.
static inline int cexpat_character(iconv_t converter, const char *bytes, size_t count) {
    uint32_t found[4];
    char *from = (char *)bytes, *to = (char *)found;
    size_t left = count, room = sizeof found;
    iconv(converter, NULL, NULL, NULL, NULL);
    if (iconv(converter, &from, &left, &to, &room) == (size_t)-1 || left != 0) { return -1; }
    if (room != sizeof found - sizeof found[0] || found[0] > 0xFFFF) { return -1; }
    return (int)found[0];
}

/// expat asks for the character of a sequence whose length was given for its first byte.
static inline int cexpat_convert_two(void *data, const char *bytes) {
    return cexpat_character((iconv_t)data, bytes, 2);
}

static inline void cexpat_release(void *data) { iconv_close((iconv_t)data); }

/// An `XML_UnknownEncodingHandler` for sets of one or two bytes a character that hold ASCII as it is.
/// What three and four bytes stand for (GB 18030 beyond GBK) is refused where it occurs.
static inline int cexpat_unknown_encoding(void *user, const XML_Char *name, XML_Encoding *encoding) {
    (void)user;
    // Stateful sets, and those whose ASCII has other bytes, are not what expat can be told about.
    if (strncasecmp(name, "ISO-2022", 8) == 0 || strncasecmp(name, "UTF-7", 5) == 0) { return XML_STATUS_ERROR; }
    iconv_t converter = iconv_open("UTF-32LE", name);
    if (converter == (iconv_t)-1) { return XML_STATUS_ERROR; }
    int isWide = 0;
    for (int byte = 0; byte < 256; byte++) {
        char one = (char)byte;
        int character = cexpat_character(converter, &one, 1);
        if (byte < 0x80 && character != byte) {
            // Shift JIS writes yen and overline for these; markup has neither.
            if (byte != '\\' && byte != '~') {
                iconv_close(converter);
                return XML_STATUS_ERROR;
            }
            character = byte;
        }
        encoding->map[byte] = character;
        if (character >= 0) { continue; }
        for (int second = 0x40; second < 0x100 && encoding->map[byte] == -1; second++) {
            char two[2] = {one, (char)second};
            if (cexpat_character(converter, two, 2) >= 0) { encoding->map[byte] = -2; }
        }
        if (encoding->map[byte] == -2) { isWide = 1; }
    }
    encoding->data = converter;
    encoding->convert = isWide ? cexpat_convert_two : NULL;
    encoding->release = cexpat_release;
    return XML_STATUS_OK;
}
