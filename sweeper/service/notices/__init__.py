"""Word to people: webhooks, Slack and e-mail, of what becomes of their sweeps. Off by default

occasions     what is worth a word, worked out of what the tables say. Pure
worker        looks for it, and sends what is due, in a thread of the serving process
channels      the ways to send, one a class: `webhooks`, `mail`
targets       which addresses may be reached from here
subscribing   what the API and the pages offer: subscribe, list, remove, send a word to try
"""
