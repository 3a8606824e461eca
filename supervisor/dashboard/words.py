try:
    from supervisor.core.phrases import phrase
except ImportError:
    def phrase(cause, detail):
        bits = ", ".join(f"{k} {v}" for k, v in detail.items() if v is not None and k in ("exit_code","signal","phi","silent_s"))
        return cause.replace("-", " ") + (f" ({bits})" if bits else "")
