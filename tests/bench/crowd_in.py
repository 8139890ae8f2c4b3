"""People who sign in with passwords, all at once and again and again, until told to end; then prints how often they did.

    crowd_in.py SITE EMAIL...
"""
import os, sys, threading

from browser import Browser
from sign_ins import sign_in

SITE, PEOPLE = sys.argv[1], sys.argv[2:]
done = []


def one(nth, email):
    browser = Browser(f"127.0.{1 + nth}.1")
    while True:
        browser.close()
        sign_in(browser, SITE, email)
        done.append(nth)


for nth, email in enumerate(PEOPLE):
    threading.Thread(target=one, args=(nth, email), daemon=True).start()
print("begun", flush=True)
sys.stdin.read()
print(len(done), flush=True)
os._exit(0)
