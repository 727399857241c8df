"""The pages: what people see in a browser. Templates, small drawings, a few scripts of our own

Everything that a page shows is made on the server and can be read without scripts; what changes is
asked of `sweeper.service.actions`, as by the API. Scripts draw the charts, keep pages live and make
the editor; they are files of this server, and nothing is fetched from elsewhere.

    navigation, addresses       where things are
    rendering, words            from templates to answers; how times and states are said
    drawing, charts             drawings as SVG, numbers for the charts
    sections                    the sections of a sweep's page: the report's, and live ones
    entrance, sweep_list, sweep_page, …      the pages, one file each
    static/, templates/         what they are made of; static/vendor/ is other people's
"""
