"""Results as a Markdown table."""


def markdown(results):
    """One row a loss, three columns a shape: × the bound, × dicewise, and memory in logits."""
    # On a graphics card the processor's time says nothing.
    cpu = results[0]["device"] == "cpu"
    kind = "cpu" if cpu else "wall"
    names = list(dict.fromkeys(name for found in results for name in found["losses"]))
    heads, rules = ["loss"], [":--"]
    for found in results:
        shape = found["shape"]
        text = "×".join(map(str, shape[2:])) if len(set(shape[2:])) > 1 else f"{shape[2]}³"
        heads += [f"[{shape[0]}, {shape[1]}, {text}]<br>ms{' CPU' * cpu}"]
        heads += ["× bound", f"× dicewise{'<br>CPU, wall' * cpu}"]
        heads += ["memory<br>× logits"]
        rules += ["--:"] * 4
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join(rules)} |"]
    for name in names:
        cells = [name]
        for found in results:
            entry, ours = found["losses"].get(name), found["losses"].get("dicewise")
            if entry is None:
                cells += ["–"] * 4
                continue
            ratio = "–"
            if ours is not None:
                kinds = ["cpu_s", "wall_s"] if cpu else ["wall_s"]
                ratio = ", ".join(f"{entry[time] / ours[time]:.1f}" for time in kinds)
            memory = entry.get("memory_bytes")
            cells += [
                f"{1000 * entry[f'{kind}_s']:.{0 if cpu else 2}f}",
                f"{entry[f'{kind}_s'] / found[f'bound_{kind}_s']:.1f}",
                ratio,
                "–" if memory is None else f"{memory / found['logits_bytes']:.2f}",
            ]
        lines.append(f"| {' | '.join(cells)} |")
    first = results[0]
    about = first["machine"]
    threads = f"{first['threads']} threads, " if cpu else ""
    rates = ", ".join(f"{found['bandwidth_bytes_per_s'] / 1e9:.0f}" for found in results)
    lines += [
        "",
        f"{about['processor']}, {threads}{rates} GB/s, {first['rounds']} rounds, "
        f"load {about['load']:.1f}; "
        f"torch {about['torch']}, monai {about['monai']}, nnunetv2 {about['nnunetv2']}, "
        f"segmentation-models-pytorch {about['segmentation-models-pytorch']}, Python {about['python']}",
        "",
    ]
    return "\n".join(lines)
