"""Prints the first fenced block of a language from a page of the docs."""
import re
import sys

page, language = sys.argv[1:]
match = re.search(rf"^```{language}\n(.*?)^```", open(page).read(),
                  re.S | re.M)
if not match:
    sys.exit(f"no block of {language} in {page}")
print(match[1], end="")
