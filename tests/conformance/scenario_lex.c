/* SPDX-License-Identifier: MIT */
/* scenario_lex.c - words and punctuation. */
#include "scenario_lex.h"

#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_word(char c)
{
    return c > ' ' && c < 0x7f && c != '{' && c != '}' && c != ';';
}

static void skip_space(struct lexer *lexer)
{
    for (; is_space(*lexer->rest); lexer->rest++) {
        lexer->place.column++;
        if (*lexer->rest == '\n') {
            lexer->place.line++;
            lexer->place.column = 1;
        }
    }
}

static enum token_kind punctuation(char c)
{
    switch (c) {
    case '{':
        return TOKEN_OPEN;
    case '}':
        return TOKEN_CLOSE;
    case ';':
        return TOKEN_SEMICOLON;
    case '\0':
        return TOKEN_END;
    default:
        return TOKEN_WORD;
    }
}

bool lex(struct lexer *lexer, struct token *token)
{
    skip_space(lexer);
    *token = (struct token){punctuation(*lexer->rest), lexer->place, lexer->rest, 0};
    if (token->kind == TOKEN_WORD) {
        while (is_word(token->text[token->length])) {
            token->length++;
        }
    } else if (token->kind != TOKEN_END) {
        token->length = 1;
    }
    lexer->rest += token->length;
    lexer->place.column += token->length;
    return token->kind == TOKEN_END || token->length > 0;
}

bool token_is(const struct token *token, const char *word)
{
    return token->kind == TOKEN_WORD && strlen(word) == (size_t)token->length &&
           memcmp(token->text, word, (size_t)token->length) == 0;
}
