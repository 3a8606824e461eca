"""Beats from inside servers of several processes: one file for each server, which the daemon never imports.

Some are loaded by the server and send the beats themselves (celery, gunicorn, rq, uvicorn, puma).  Others are programs
that read what the server shows of its workers, and print a line for each (php_fpm, gunicorn_files).
"""
