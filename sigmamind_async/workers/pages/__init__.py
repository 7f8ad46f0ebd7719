"""How to put this library to work, a page for each way; there is no code in these modules.

`web_app` shares one client between the requests of a web server. `procrastinate_worker` is the
queue that comes with the extra ``postgres``. `taskiq_task` and `redis_consumer` are for those who
have another queue already. What all of them rely on: a `Provisioner` carries an operation out once
under its id, however often the id is delivered.

Each page has one program, which runs in the tests as it stands.
"""
