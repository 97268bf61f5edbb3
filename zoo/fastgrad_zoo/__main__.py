"""``python -m fastgrad_zoo`` lists the bugs as a Markdown table."""

import fastgrad_zoo as zoo


def table() -> str:
    """Return one line for each bug, in the order of the zoo."""
    lines = [
        "| Bug | Problem | Cause | Blocks | What the code does | Reported |",
        "|---|---|---|---|---|---|",
    ]
    for bug in zoo.bugs():
        cells = [
            f"`{bug.name}`" + (" (held out)" if bug.held_out else ""),
            f"`{bug.problem.name}`",
            f"`{bug.cause}`",
            " ".join(bug.blocks),
            bug.description,
            f"[report]({bug.link})" if bug.link else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
