/* SPDX-License-Identifier: MIT */
/* scenario_lex.h - words and punctuation. */
#ifndef SCENARIO_LEX_H
#define SCENARIO_LEX_H

#include "scenario_syntax.h"

enum token_kind { TOKEN_WORD, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_SEMICOLON, TOKEN_END };

struct token {
    enum token_kind kind;
    struct place place;
    const char *text; /* not terminated */
    int length;
};

struct lexer {
    const char *rest;
    struct place place;
};

/* False: a character that the language doesn't have; the token is that character. */
bool lex(struct lexer *lexer, struct token *token);

bool token_is(const struct token *token, const char *word);

#endif
