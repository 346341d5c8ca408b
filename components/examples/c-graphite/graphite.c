/*
 * Payload parser: Graphite's plaintext protocol, one metric a line.
 *
 *   servers.web1.load 0.25 1767225600
 *           |          |       |
 *         path       value   seconds since 1970; -1 for the time of arrival
 *
 * C without a library and without an SDK: what is here is the contract itself, wit/heplake.wit,
 * by the Canonical ABI of the component model
 * (https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md). A list
 * or string that comes in lies in memory that the host asked cabi_realloc for; one that goes out
 * is its address and its length. Functions that return more than one word return the address of
 * those words, and cabi_post_parse is called when the host has read them.
 */

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define EXPORT(name) __attribute__((export_name(name)))
#define NULL_CELL (~0ULL)

/* ---- Memory: a stack that is emptied after each batch ---- */

#define PAGE 65536u

extern u8 __heap_base;
static u32 top, limit;

static u32 allocate(u32 size, u32 align) {
    if (top == 0) {
        top = (u32)&__heap_base;
        limit = __builtin_wasm_memory_size(0) * PAGE;
    }
    u32 start = (top + align - 1) & ~(align - 1);
    if (start < top || start + size < start) __builtin_trap();
    if (start + size > limit) {
        u32 pages = (start + size - limit + PAGE - 1) / PAGE;
        /* The host gives no more: it sees a fault of this batch, and cuts it in halves. */
        if (__builtin_wasm_memory_grow(0, pages) == (unsigned long)-1) __builtin_trap();
        limit += pages * PAGE;
    }
    top = start + size;
    return start;
}

EXPORT("cabi_realloc")
u32 cabi_realloc(u32 old, u32 old_size, u32 align, u32 new_size) {
    u32 start = allocate(new_size, align);
    if (old_size) __builtin_memcpy((void *)start, (void *)old, old_size < new_size ? old_size : new_size);
    return start;
}

EXPORT("cabi_post_parse")
void post_parse(u32 returned) {
    (void)returned;
    top = 0;
}

/* ---- configure and describe ---- */

static const char REFUSAL[] = "this component has no settings";
static const char DESCRIPTION[] =
    "{\"name\":\"graphite\",\"version\":\"0.1.0\",\"accepts\":{\"protocol_types\":[201]},"
    "\"fields\":[{\"name\":\"path\",\"kind\":\"text\"},{\"name\":\"value\",\"kind\":\"real\"},"
    "{\"name\":\"time\",\"kind\":\"time\"}],"
    "\"verdicts\":[{\"name\":\"not_a_metric\",\"class\":\"refused\"},"
    "{\"name\":\"blank\",\"class\":\"aside\"}]}";

enum { PATH, VALUE, TIME, FIELDS };
enum { PARSED = 0, NOT_A_METRIC = 2, BLANK = 3 };

/* result<_, string>: whether it is an error, and the text if it is. */
static u32 configured[3];

EXPORT("configure")
u32 configure(const char *text, u32 length) {
    u32 words = 0;
    for (u32 i = 0; i < length; i++) words += text[i] > ' ';
    configured[0] = !(words == 0 || (words == 2 && text[0] == '{' && text[length - 1] == '}'));
    configured[1] = (u32)REFUSAL;
    configured[2] = sizeof REFUSAL - 1;
    top = 0;
    return (u32)configured;
}

static u32 described[2];

EXPORT("describe")
u32 describe(void) {
    described[0] = (u32)DESCRIPTION;
    described[1] = sizeof DESCRIPTION - 1;
    return (u32)described;
}

/* ---- Lines ---- */

typedef struct { const u8 *at, *end; } Text;

static int is_blank(u8 c) { return c == ' ' || c == '\t' || c == '\r'; }
static int is_digit(u8 c) { return c >= '0' && c <= '9'; }

/* The next word of a line; empty at its end. */
static Text word(Text *line) {
    while (line->at < line->end && is_blank(*line->at)) line->at++;
    Text word = {line->at, line->at};
    while (word.end < line->end && !is_blank(*word.end)) word.end++;
    line->at = word.end;
    return word;
}

/* A decimal number: exact up to 15 digits, as 2^53 and 10^22 hold them, and close beyond. */
static int read_real(Text text, double *value) {
    static const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const u8 *at = text.at;
    int negative = 0, digits = 0, exponent = 0;
    u64 mantissa = 0;
    if (at < text.end && (*at == '-' || *at == '+')) negative = *at++ == '-';
    for (int point = 0; at < text.end && (is_digit(*at) || (*at == '.' && !point)); at++) {
        if (*at == '.') {
            point = 1;
            continue;
        }
        digits++;
        if (mantissa < 100000000000000000ULL) {
            mantissa = mantissa * 10 + (*at - '0');
            exponent -= point;
        } else {
            exponent += !point;
        }
    }
    if (!digits) return 0;
    if (at < text.end && (*at == 'e' || *at == 'E')) {
        int minus = 0, written = 0, any = 0;
        at++;
        if (at < text.end && (*at == '-' || *at == '+')) minus = *at++ == '-';
        for (; at < text.end && is_digit(*at); at++, any = 1)
            if (written < 1000) written = written * 10 + (*at - '0');
        if (!any) return 0;
        exponent += minus ? -written : written;
    }
    if (at != text.end) return 0;
    double real = (double)mantissa;
    for (; exponent > 0 && real != 0; exponent -= exponent > 22 ? 22 : exponent) {
        real *= POWERS[exponent > 22 ? 22 : exponent];
        if (exponent > 400) return 0;
    }
    for (; exponent < 0 && real != 0; exponent += exponent < -22 ? 22 : -exponent)
        real /= POWERS[exponent < -22 ? 22 : -exponent];
    *value = negative ? -real : real;
    return 1;
}

/* Seconds since 1970 to microseconds; -1 is the time of arrival, as Graphite has it. */
static int read_time(Text text, u64 received, u64 *time) {
    if (text.end - text.at == 2 && text.at[0] == '-' && text.at[1] == '1') {
        *time = received;
        return 1;
    }
    u64 seconds = 0;
    if (text.at == text.end || text.end - text.at > 11) return 0;
    for (const u8 *at = text.at; at < text.end; at++) {
        if (!is_digit(*at)) return 0;
        seconds = seconds * 10 + (*at - '0');
    }
    *time = seconds * 1000000;
    return 1;
}

/* ---- parse ---- */

/* Four lists: cells, items, verdicts, scratch. */
static u32 parsed[8];

EXPORT("parse")
u32 parse(const u8 *bytes, u32 bytes_length, const u32 *ends, u32 items, const u64 *received,
          u32 received_length, const u64 *context, u32 context_length, const u8 *context_bytes,
          u32 context_bytes_length) {
    (void)received_length, (void)context, (void)context_length;
    (void)context_bytes, (void)context_bytes_length;
    /* A row is a line: at most as many as there are line ends, and one for each item. */
    u32 rows_max = items;
    for (u32 i = 0; i < bytes_length; i++) rows_max += bytes[i] == '\n';
    u64 *cells = (u64 *)allocate(rows_max * FIELDS * 8, 8);
    u32 *row_items = (u32 *)allocate(rows_max * 4, 4);
    u32 *verdicts = (u32 *)allocate(items * 4, 4);
    u32 rows = 0, start = 0;

    for (u32 item = 0; item < items; start = ends[item], item++) {
        const u8 *at = bytes + start, *end = bytes + ends[item];
        u32 rows_before = rows;
        verdicts[item] = BLANK;
        while (at < end) {
            Text line = {at, at};
            while (line.end < end && *line.end != '\n') line.end++;
            at = line.end + 1;
            Text path = word(&line);
            if (path.at == path.end) continue;
            Text value = word(&line), time = word(&line), more = word(&line);
            u64 *row = cells + rows * FIELDS;
            double real;
            if (!read_real(value, &real) || !read_time(time, received[item], &row[TIME]) ||
                more.at != more.end) {
                /* One bad line refuses the item: only a parsed item may have rows. */
                rows = rows_before;
                verdicts[item] = NOT_A_METRIC;
                break;
            }
            /* A span of the batch: length and offset. */
            row[PATH] = (u64)(path.end - path.at) << 32 | (u64)(path.at - bytes);
            __builtin_memcpy(&row[VALUE], &real, sizeof real);
            row_items[rows++] = item;
            verdicts[item] = PARSED;
        }
    }

    parsed[0] = (u32)cells, parsed[1] = rows * FIELDS;
    parsed[2] = (u32)row_items, parsed[3] = rows;
    parsed[4] = (u32)verdicts, parsed[5] = items;
    parsed[6] = (u32)bytes, parsed[7] = 0;
    return (u32)parsed;
}
