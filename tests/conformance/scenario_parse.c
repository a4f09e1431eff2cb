/* SPDX-License-Identifier: MIT */
/* scenario_parse.c - from words to a program, by the shapes of the operations.
 *
 * After the first error the parser sees nothing but the end, so every loop stops by itself. */
#include <stdlib.h>
#include <string.h>

#include "scenario_lex.h"
#include "scenario_operation.h"
#include "scenario_syntax.h"

/* Far above what anybody writes; keeps recursion, here and when it runs, within a stack. */
enum { NESTING_MAX = 64, WORD_MAX = 64, SECONDS_MAX = 1000000 };

struct parser {
    struct arena *arena;
    struct lexer lexer;
    struct token token; /* looked at next */
    struct program *program;
    const char *error;
    int nesting;
};

static void fail(struct parser *parser, const struct token *at, const char *what)
{
    if (parser->error != NULL) {
        return;
    }
    int length = at->length < WORD_MAX ? at->length : WORD_MAX;
    parser->error =
        arena_print(parser->arena, "%d:%d: %s%s%.*s%s", at->place.line, at->place.column, what,
                    length > 0 ? ", not `" : "", length, at->text, length > 0 ? "`" : "");
    parser->token.kind = TOKEN_END;
}

static void advance(struct parser *parser)
{
    if (parser->error == NULL && !lex(&parser->lexer, &parser->token)) {
        struct token at = parser->token;
        fail(parser, &at, "expected a printable ASCII character");
    }
}

static bool accept(struct parser *parser, enum token_kind kind)
{
    bool is_there = parser->token.kind == kind && parser->error == NULL;
    if (is_there) {
        advance(parser);
    }
    return is_there;
}

static void expect(struct parser *parser, enum token_kind kind, const char *what)
{
    if (!accept(parser, kind)) {
        fail(parser, &parser->token, what);
    }
}

static bool accept_word(struct parser *parser, const char *word)
{
    bool is_there = token_is(&parser->token, word);
    if (is_there) {
        advance(parser);
    }
    return is_there;
}

/* ---- words ---- */

static const char *take_word(struct parser *parser, const char *what)
{
    if (parser->token.kind != TOKEN_WORD || parser->token.length > WORD_MAX) {
        fail(parser, &parser->token, what);
        return "";
    }
    const char *word = arena_copy(parser->arena, parser->token.text, (size_t)parser->token.length);
    advance(parser);
    return word;
}

static bool is_plain(const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    return *text != '\0' && strspn(text, plain) == strlen(text);
}

static const char *take_plain(struct parser *parser, const char *what, bool may_be_number)
{
    struct token at = parser->token;
    const char *word = take_word(parser, what);
    const char *letters = may_be_number && *word == '-' ? word + 1 : word;
    bool is_number = *letters >= '0' && *letters <= '9';
    if (!is_plain(letters) || (is_number && !may_be_number)) {
        fail(parser, &at, what);
    }
    return word;
}

/* A kind of exception: a plain word, or a group's as traces print it, such as EG[E1,T]. */
static const char *take_kind(struct parser *parser, const char *what)
{
    static const char group[] = "EG[";
    const struct token *at = &parser->token;
    bool is_group = at->kind == TOKEN_WORD && at->length > (int)strlen(group) &&
                    strncmp(at->text, group, strlen(group)) == 0 && at->text[at->length - 1] == ']';
    return is_group ? take_word(parser, what) : take_plain(parser, what, false);
}

static struct name *intern(struct parser *parser, const char *text)
{
    struct program *program = parser->program;
    for (struct name *name = program->names; name != NULL; name = name->next) {
        if (strcmp(name->text, text) == 0) {
            return name;
        }
    }
    struct name *name = arena_take(parser->arena, sizeof *name);
    *name = (struct name){text, program->name_count++, program->names};
    program->names = name;
    return name;
}

static struct name *take_name(struct parser *parser, const char *what)
{
    return intern(parser, take_plain(parser, what, false));
}

static int64_t take_integer(struct parser *parser, const char *what, int64_t limit)
{
    struct token at = parser->token;
    const char *word = take_word(parser, what);
    char *end;
    long long number = strtoll(word, &end, 10);
    bool is_number = *word == '-' || (*word >= '0' && *word <= '9');
    if (!is_number || end == word || *end != '\0' || number > limit || number < -limit) {
        fail(parser, &at, what);
        return 0;
    }
    return number;
}

static void take_seconds(struct parser *parser, struct statement *statement)
{
    statement->has_number = true;
    statement->forever = accept_word(parser, "none");
    if (!statement->forever) {
        statement->number = take_integer(parser, "expected seconds or `none`", SECONDS_MAX);
    }
}

/* All words up to the end of the statement, joined: one event of the trace is one word. */
static const char *take_words(struct parser *parser)
{
    const char *words = take_word(parser, "expected words to log");
    while (parser->token.kind == TOKEN_WORD) {
        words = arena_print(parser->arena, "%s_%s", words, take_word(parser, "expected a word"));
    }
    return words;
}

static void take_names(struct parser *parser, struct statement *statement)
{
    int room = 0;
    while (parser->token.kind == TOKEN_WORD && parser->error == NULL) {
        if (statement->name_count == room) {
            room = room == 0 ? 8 : room * 2;
            struct name **names = arena_take(parser->arena, (size_t)room * sizeof *names);
            for (int i = 0; i < statement->name_count; i++) {
                names[i] = statement->names[i];
            }
            statement->names = names;
        }
        statement->names[statement->name_count++] = take_name(parser, "expected a label");
    }
}

static void take_wait_mode(struct parser *parser, struct statement *statement)
{
    if (accept_word(parser, "ALL")) {
        statement->mode = WAIT_ALL;
    } else if (accept_word(parser, "FC")) {
        statement->mode = WAIT_FIRST_DONE;
    } else if (accept_word(parser, "FX")) {
        statement->mode = WAIT_FIRST_ERROR;
    } else {
        fail(parser, &parser->token, "expected ALL, FC or FX");
    }
    if (accept_word(parser, "timeout")) {
        take_seconds(parser, statement);
    }
}

/* ---- statements ---- */

static struct block *take_block(struct parser *parser);

static void take_clauses(struct parser *parser, struct statement *statement)
{
    struct clause **last = &statement->clauses;
    while (accept_word(parser, "catch")) {
        struct clause *clause = arena_take(parser->arena, sizeof *clause);
        clause->kind =
            accept_word(parser, "*") ? "*" : take_kind(parser, "expected a kind of exception or *");
        clause->block = take_block(parser);
        *last = clause;
        last = &clause->next;
    }
    if (accept_word(parser, "finally")) {
        statement->finally = take_block(parser);
    }
    if (statement->clauses == NULL && statement->finally == NULL) {
        fail(parser, &parser->token, "expected catch or finally");
    }
}

/* One letter of a shape that may be left out. */
static void take_optional(struct parser *parser, char letter, struct statement *statement)
{
    bool is_word = parser->token.kind == TOKEN_WORD;
    switch (letter) {
    case SHAPE_AS:
        if (accept_word(parser, "as")) {
            statement->other = take_name(parser, "expected a label");
        }
        break;
    case SHAPE_LABEL_MAYBE:
        statement->label = is_word ? take_name(parser, "expected a label") : NULL;
        break;
    case SHAPE_INTEGER_MAYBE:
        statement->has_number = is_word;
        statement->number = is_word ? take_integer(parser, "expected a number", SECONDS_MAX) : 0;
        break;
    case SHAPE_VALUE_MAYBE:
        statement->word = is_word ? take_plain(parser, "expected a value", true) : NULL;
        break;
    case SHAPE_EXCEPTION_MAYBE:
        statement->word = is_word ? take_kind(parser, "expected a kind of exception") : NULL;
        break;
    case SHAPE_COLLECT_MAYBE:
        statement->flag = accept_word(parser, "rx");
        break;
    case SHAPE_NOW_MAYBE:
        statement->flag = accept_word(parser, "now");
        break;
    default:
        abort();
    }
}

static void take_part(struct parser *parser, char letter, struct statement *statement)
{
    switch (letter) {
    case SHAPE_LABEL:
        statement->label = take_name(parser, "expected a label");
        break;
    case SHAPE_OTHER:
        statement->other = take_name(parser, "expected a name");
        break;
    case SHAPE_DEFINITION:
        statement->callee_name = take_name(parser, "expected the name of a definition");
        break;
    case SHAPE_INTEGER:
        statement->number = take_integer(parser, "expected a number", SECONDS_MAX);
        break;
    case SHAPE_SECONDS:
        take_seconds(parser, statement);
        break;
    case SHAPE_VALUE:
        statement->word = take_plain(parser, "expected a value", true);
        break;
    case SHAPE_EXCEPTION:
        statement->word = take_kind(parser, "expected a kind of exception");
        break;
    case SHAPE_WORDS:
        statement->word = take_words(parser);
        break;
    case SHAPE_WAIT_MODE:
        take_wait_mode(parser, statement);
        break;
    case SHAPE_LABELS:
        take_names(parser, statement);
        break;
    case SHAPE_BLOCK:
        statement->block = take_block(parser);
        break;
    case SHAPE_CLAUSES:
        take_clauses(parser, statement);
        break;
    default:
        take_optional(parser, letter, statement);
        break;
    }
}

static struct statement *take_statement(struct parser *parser)
{
    struct token at = parser->token;
    struct statement *statement = arena_take(parser->arena, sizeof *statement);
    statement->place = at.place;
    const char *name = take_word(parser, "expected a statement");
    statement->operation = operation_find(name);
    if (statement->operation == NULL) {
        fail(parser, &at, "expected a statement");
        return statement;
    }
    for (const char *letter = statement->operation->shape; *letter != '\0'; letter++) {
        take_part(parser, *letter, statement);
    }
    return statement;
}

static void take_statements(struct parser *parser, struct block *block)
{
    struct statement **last = &block->first;
    while (parser->token.kind == TOKEN_WORD || parser->token.kind == TOKEN_SEMICOLON) {
        if (accept(parser, TOKEN_SEMICOLON)) {
            continue;
        }
        struct statement *statement = take_statement(parser);
        *last = statement;
        last = &statement->next;
        bool ends_in_block = statement->block != NULL;
        if (!ends_in_block && parser->token.kind == TOKEN_WORD) {
            fail(parser, &parser->token, "expected ; or }");
        }
    }
}

static struct block *take_block(struct parser *parser)
{
    struct block *block = arena_take(parser->arena, sizeof *block);
    if (parser->nesting++ == NESTING_MAX) {
        fail(parser, &parser->token, "blocks nest too deep");
    }
    expect(parser, TOKEN_OPEN, "expected {");
    take_statements(parser, block);
    expect(parser, TOKEN_CLOSE, "expected ; or }");
    parser->nesting--;
    return block;
}

/* ---- definitions ---- */

static struct definition *find(const struct program *program, const struct name *name)
{
    struct definition *definition = program->definitions;
    while (definition != NULL && definition->name != name) {
        definition = definition->next;
    }
    return definition;
}

static void take_definition(struct parser *parser)
{
    struct token at = parser->token;
    struct definition *definition = arena_take(parser->arena, sizeof *definition);
    definition->name = take_name(parser, "expected a definition");
    if (find(parser->program, definition->name) != NULL) {
        fail(parser, &at, "defined twice");
    }
    definition->block = take_block(parser);
    definition->next = parser->program->definitions;
    parser->program->definitions = definition;
}

static void resolve(struct parser *parser, struct block *block);

static void resolve_statement(struct parser *parser, struct statement *statement)
{
    if (statement->callee_name != NULL) {
        statement->callee = find(parser->program, statement->callee_name);
        if (statement->callee == NULL) {
            struct token at = {TOKEN_WORD, statement->place, "", 0};
            fail(parser, &at,
                 arena_print(parser->arena, "`%s` is not defined", statement->callee_name->text));
        }
    }
    resolve(parser, statement->block);
    for (struct clause *clause = statement->clauses; clause != NULL; clause = clause->next) {
        resolve(parser, clause->block);
    }
    resolve(parser, statement->finally);
}

static void resolve(struct parser *parser, struct block *block)
{
    struct statement *statement = block != NULL ? block->first : NULL;
    for (; statement != NULL; statement = statement->next) {
        resolve_statement(parser, statement);
    }
}

const struct program *parse(struct arena *arena, const char *text, const char **error)
{
    struct parser parser = {.arena = arena, .lexer = {text, {1, 1}}};
    parser.program = arena_take(arena, sizeof *parser.program);
    advance(&parser);
    while (parser.token.kind != TOKEN_END) {
        take_definition(&parser);
    }
    struct program *program = parser.program;
    struct definition *definition = program->definitions;
    for (; definition != NULL && parser.error == NULL; definition = definition->next) {
        resolve(&parser, definition->block);
    }
    program->main = find(program, intern(&parser, "main"));
    if (program->main == NULL) {
        fail(&parser, &parser.token, "there is no main");
    }
    *error = parser.error;
    return parser.error == NULL ? program : NULL;
}
